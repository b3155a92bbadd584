"""Words too ordinary to tell a person by: frequent first names, frequent surnames, English words that names are made of.

A name of two words needs at least one that is not here before it may decide alone. Sources: the most frequent names of
the US census (public domain), widened by frequent British, Spanish and Chinese ones; everyday English. Case folded,
without accents. It does not know entries.
"""

from __future__ import annotations

_FIRST_NAMES = """
aaron abigail adam adrian al alan albert alex alexander alexandra alexis alfred ali alice alicia allan allen allison
amanda amber amy ana andre andrea andrew andy angel angela anita ann anna anne annie anthony antonio april arnold
arthur ashley audrey austin barbara barry ben benjamin bernard beth betty bill billy bob bobby bonnie brad bradley
brandon brenda brian brittany bruce bryan calvin cameron carl carla carlos carmen carol caroline carolyn carrie
catherine cathy charles charlie charlotte cheryl chloe chris christian christina christine christopher chuck cindy
claire clara clarence claude colin connie craig crystal curtis cynthia dale dan daniel danielle danny darren dave
david dawn dean deborah debra dennis derek diana diane dick don donald donna dora doris dorothy doug douglas duane
dylan earl ed eddie edgar edith edward edwin eileen elaine eleanor elena eli elijah elizabeth ella ellen emily emma
eric erica erik erin ernest ethan ethel eugene eva evan eve evelyn faith felix fernando florence frances francis
francisco frank franklin fred frederick gabriel gary gene geoffrey george gerald gilbert gina glen glenn gloria gordon
grace greg gregory guy hannah harold harriet harry harvey heather hector heidi helen henry herbert holly howard hugh
ian ida irene isaac isabella ivan jack jackie jackson jacob jacqueline jake james jamie jan jane janet janice jason
jay jean jeff jeffrey jennifer jenny jeremy jerome jerry jesse jessica jesus jill jim jimmy jo joan joanne joe joel
john johnny jon jonathan jordan jorge jose joseph joshua joy joyce juan juanita judith judy julia julian julie june
justin karen karl kate katherine kathleen kathryn kathy katie kay keith kelly ken kenneth kevin kim kimberly kristen
kurt kyle larry laura lauren laurence lawrence lee leo leon leonard leroy leslie lewis liam lillian linda lisa lloyd
lois lori louis louise lucas lucy luis luke lynn mabel madison manuel marc marcus margaret maria marie marilyn mario
marion mark marlene marshall martha martin marvin mary matt matthew maurice max megan melanie melissa michael michelle
miguel mike mildred milton mitchell monica morris nancy naomi natalie nathan neil nicholas nick nicole nina noah nora
norma norman oliver olivia oscar owen pamela patricia patrick paul paula pauline pedro peggy penny peter phil philip
phillip phyllis rachel ralph ramon randy ray raymond rebecca renee ricardo richard rick ricky rita robert roberta
roberto robin rodney roger roland ron ronald rosa rose rosemary ross roy ruben ruby russell ruth ryan sally sam
samantha samuel sandra sara sarah scott sean sebastian sergio seth shane shannon sharon shawn sheila sherry shirley
sidney simon sofia sophia sophie stacy stanley stella stephanie stephen steve steven stewart stuart sue susan suzanne
sylvia tammy tara ted teresa terry thelma theodore theresa thomas tiffany tim timothy tina todd tom tommy tony tracy
travis tyler valerie vanessa vera vernon veronica victor victoria vincent viola virginia vivian wade wallace walter
wanda warren wayne wendy wesley will william willie wilma yolanda yvonne zachary zoe
"""

_SURNAMES = """
adams ahmed alexander allen alvarez anderson andrews armstrong arnold austin bailey baker ball banks barker barnes
barnett barrett bates beck becker bell bennett berry bishop black blair blake boyd bradley brady brooks brown bryant
burke burns burton bush butler byrd campbell carlson carpenter carr carroll carter castillo castro chambers chan chang
chapman chase chavez chen clark clarke cohen cole coleman collins cook cooper cox craig crawford cruz cunningham
daniels davidson davies davis dawson day dean delgado diaz dixon douglas duncan dunn edwards elliott ellis evans
ferguson fernandez fields fisher fleming fletcher flores ford foster fowler fox francis franklin frazier freeman
fuller garcia gardner garrett george gibson gilbert gill gomez gonzales gonzalez gordon graham grant gray green greene
griffin gutierrez guzman hall hamilton hansen hanson harper harris harrison hart harvey hawkins hayes henderson henry
hernandez herrera hicks hill hoffman holland holmes holt hopkins horton houston howard howell hudson hughes hunt
hunter jackson jacobs james jenkins jennings jensen jimenez johnson johnston jones jordan joseph kelley kelly kennedy
khan kim king knight kumar lambert lane larson lawrence lawson lee lewis li little liu long lopez lowe lucas lynch
marshall martin martinez mason matthews may mccarthy mccoy mcdonald medina mendoza meyer miller mills mitchell
montgomery moore morales moreno morgan morris morrison murphy murray myers nelson newman newton nguyen nichols obrien
oliver ortega ortiz owens palmer parker patel patterson payne pearson perez perkins perry peters peterson phillips
pierce porter powell powers price ramirez ramos ray reed reid reyes reynolds rice richards richardson riley rivera
roberts robertson robinson rodriguez rogers romero rose ross ruiz russell ryan sanchez sanders santiago santos schmidt
schneider schultz scott shaw silva simmons simon simpson sims singh smith snyder soto spencer stephens stevens stewart
stone sullivan sutton taylor terry thomas thompson torres tran tucker turner vargas vasquez vaughn vega wade wagner
walker wallace walsh walters wang ward warren washington watkins watson watts weaver webb weber welch wells west
wheeler white wilkins williams williamson willis wilson wong wood woods wright wu yang young zhang
"""

_WORDS = """
academy actor air all american angel army art award baby band bay beach bear beauty big bird black blood blue body
book boss boy bridge bright british bull bush business cage camp candy captain cash castle cat center chief child
church city class club coach cold college company control corn cotton council country county court cream crew cross
crown cube dark day dead death devil doctor dog dollar door dr dragon dream duchess duke dutch eagle earth east elder
emperor empire english evil eye fame family father fever field fire first five flower force forest foundation four
french friend game gem general german ghost giant girl glass god gold golden good grand great ground group guard gun
hall hammer hand hard hawk head heart heaven hell hero high holy home honey horror horse hot house ice indian iron
island jazz jet judge junior justice kid king knight lady lake land last law legend life light lil lion little live
long lord lost love low lucky machine mad magic man marble master mayor mc metal miss money monster moon mother motion
mountain movie mr mrs ms museum music national new nickel night noble north nurse ocean old one opera paper park party
peace people piano pink pipe play pop power president prime prince princess professor project punk queen quick radio
rain rap rebel red reverend rich river road rock roll rose royal rural sage saint sand school sea second secret seven
shadow shark sharp shield ship silver sir sister six sky slim small smart snow society soul sound south space special
spider spirit spring star state steel stone storm street strong studio style summer sun super sweet swift sword team
temple tennis third three thunder tiger time tower town track trap tree true trump trust two union united university
valley van village voice walk walker wall war warrior water wave way west whale white wild wind wine winter wise wolf
woman wonder wood wool word works world year young youth zero
"""

ORDINARY = frozenset((_FIRST_NAMES + _SURNAMES + _WORDS).split())
"""Every word of the lists."""

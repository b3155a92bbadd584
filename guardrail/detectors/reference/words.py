"""Words by which a turn of a conversation points back, or shows that it stands by itself. Tables and nothing else.

English; other languages have their own table. They hold no name and no title. Spelled in lower case.
"""

from __future__ import annotations

import re


def listed(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


HE = listed("he him his himself he's he'd he'll")
SHE = listed("she her hers herself she's she'd she'll")
THEY = listed("they them their theirs themselves they're they'd they've")

FUNCTION = listed(
    "a about above actually after again ago all alone along already also always am an and another any anything are as "
    "at away back be became become becomes because been before began being best better between both but by called came "
    "can come could did didn't do does doesn't doing don't done during each either else end ended ever every everything "
    "exactly far few finally first for from full gave get gets give given go goes going gone good got great had has have "
    "having he her here hers him his hm how however i if in into is isn't it its itself just kind know known knows last "
    "later latest least less let like list long look made main make makes many mean means met might more most much must "
    "my name named next no none nor not nothing now of off often oh ok okay old on once one ones only or other others our "
    "out over own perhaps play played plays please possible quick quickly quite rather really right said same saw say "
    "says second see several shall she should show since so some someone something sort started still such sure tell "
    "than thank thanks that that's the their them then there these they thing things think third this those though "
    "through time times to together told too took top try under until up us use used very want wants was wasn't way we "
    "well went were weren't what what's whatever when when's where where's which while who who's whole whom whose why "
    "will win won with without won't word words work worked works would write writes written wrong wrote yeah year years "
    "yes yet you your describe explain famous happen happened happens happening recent new big biggest important details "
    "detail short brief briefly bit little lot exact exactly correct true real hello hi hey maybe alright example "
    "examples information info facts fact question questions answer"
)
"""English words that name no subject of their own."""

RELATIONAL = listed(
    "achievement achievements acting actor actress adaptation age album albums author autobiography award awards band "
    "biography birth birthday birthdate birthplace book books born boyfriend brand breakthrough brother brothers business "
    "businesses buried career causes character characters child childhood children club coach college colleague "
    "colleagues companies company competitor composer contribution contributions country controversy crime crimes "
    "daughter daughters death debut degree died director discography divorce divorced dynasty education empire "
    "employer ethnicity family father favorite favourite film films filmography founder friend friends gender genre "
    "girlfriend grave group hairstyle height hero hit hits hometown husband hobby hobbies house idea ideas inventor "
    "inventions job kid kids label legacy lyrics man manager marriage married mother motive movie movies musician "
    "nationality nickname novel novels occupation origin painter painting paintings parents partner person personality "
    "philosopher plot poem poems politician position president prize prizes profession protagonist publisher pupil "
    "pupils quote quotes rank reign relatives religion residence rival rivals role roles royalties scandal school sequel "
    "series show shows sibling siblings singer single singles sister sisters sitcom son songs song spouse stage story "
    "stories studio style successor teacher teachers team teams title titles trilogy university victim victims "
    "villain wealth weight wife wives woman worth writer"
)
"""What is asked of people and works; without a subject of its own such a question is about the one spoken of."""

ROLES = (
    "author|writer|novelist|poet|person|man|woman|guy|lady|girl|boy|artist|singer|musician|rapper|band|actor|actress|"
    "director|painter|philosopher|scientist|inventor|politician|president|ruler|king|queen|emperor|leader|player|athlete|"
    "boxer|coach|star|celebrity|comedian|host|founder|businessman|businesswoman|book|novel|story|series|film|movie|show|"
    "song|album|work|play|poem|painting|character|protagonist|hero|company|team|same|latter|former|aforementioned|"
    "previous|one"
)
"""Nouns that point back behind "the" or "that" where nothing tells which one."""

CONVERSATION = re.compile(
    r"\b(?:my|your|the|that|this|our) (?:(?:very )?(?:first|last|earlier|previous|original|initial|second|third|prior) )+"
    r"(?:question|message|prompt|answer|reply|response|request)s?\b"
    r"|\b(?:our|this|the) (?:conversation|chat|discussion|dialogue)\b"
    r"|\b(?:answer|repeat|translate|rephrase) (?:the|my|your) (?:question|answer)\b"
    r"|\b(?:you|i|we) (?:just )?(?:said|mentioned|told|asked|discussed|talked|spoke|listed|wrote) (?:about |of )?"
    r"(?:earlier|before|above|so far|just now|me)\b"
    r"|\b(?:mentioned|discussed|asked|as|listed|see) (?:above|earlier|before)\b|\bso far\b|\bthe above\b"
    r"|\bwhat (?:did|have|had) (?:i|we|you) (?:just )?(?:say|said|ask|asked|talk|talked|discuss|discussed|mention)"
    r"|\b(?:try|answer|say|do|explain) (?:it |that |this )?(?:again|once more)\b|\brepeat\b|\bas (?:i|you) (?:said|asked)\b"
    r"|\bback to (?:the|that|my|our|what)\b",
    re.IGNORECASE,
)
NEAREST = re.compile(
    r"\b(?:what|who|anything|anyone|something|nothing|where|how) else\b|\b(?:go on|keep going|carry on|continue|proceed)\b"
    r"|\bmore\b(?: please)?[.!?]*$|\b(?:tell me|say|some|any|know) more\b|\band then\b|\bthere[?.!]*$"
    r"|\b(?:who|what)(?: is|'s|’s| was| are| were) (?:this|that|these|those)\b"
    r"|\b(?:about|of|with|like|do|did) (?:this|that)\b"
    rf"|\bthe (?:(?:first|second|third|last|other|next|best|famous|main|said|young|old|whole|same) )*(?:{ROLES})s?"
    r"(?=$|[?.!,;:]| (?:is|was|were|are|did|does|do|has|had|have|will|would|can|could|die|born|live|play|write|win|get|"
    r"marry|from|called|named|and|then|also|when|where)\b)"
    r"|\bthe (?:(?:first|second|third|last|other|next|best|main|real|full|exact|whole) )*"
    r"(?:answer|birthday|name|wife|husband|children|parents|family|career|plot|title|ending|birthplace|nationality|"
    r"profession|age|height|details|rest)(?=$|[?.!,;:])"
    r"|\bwho (?:am|are|do) (?:i|we) (?:thinking|talking|speaking|mean|describing|looking)\b|\bguess (?:who|what)\b"
    r"|\bwho (?:could|might|can) (?:it|that|this) be\b|^\W*(?:why|how come|how so|when|where|who|really)\W*$",
    re.IGNORECASE,
)
THAT = re.compile(
    rf"\b(?:this|that|these|those) (?:{ROLES}|ones|people|time|role|year|place|case|name)s?\b", re.IGNORECASE
)
"""Points back even beside another name: "Did Ann film that book?\"."""

IT = re.compile(r"\b(?:it|its|itself|it's|it’s)\b", re.IGNORECASE)
EXPLETIVE = re.compile(
    r"\bit(?:'s|’s)? (?:is |was |be )?"
    r"(?:take|takes|took|rain|rains|raining|snow|snows|snowing|possible|true|ok|okay|safe|legal|better|worth|normal|bad|"
    r"good|hard|easy|cost|costs|important|necessary|cold|hot|warm|late|early|time|seems?)\b|\bwhat time is it\b"
    r"|\b(?:is|was|be) it \w+ (?:to|that|for|if|when)\b|\bit (?:is|was|has been) \w+ (?:that|to|for)\b"
    r"|\bdoes it (?:mean|feel|look|take)\b|\bis it (?:called|like) (?:when|to|if)\b",
    re.IGNORECASE,
)
SWITCH = re.compile(
    r"^\W*(?:ok(?:ay)?|alright|well|no|so|hm+)?[\s,.]*(?:thanks?(?: you)?(?: (?:a lot|so much|very much))?|thx|cheers|"
    r"got it|never ?mind|forget (?:it|that|about (?:it|that))|ignore (?:that|it|this)|leave (?:that|it)|"
    r"(?:let's )?(?:change|switch)(?: the| to another| to a different)? (?:topic|subject)|"
    r"(?:on )?(?:another|a different|new|next|different) (?:topic|subject|question|thing)|"
    r"something else|anyway|by the way|moving on|danke|gracias|merci|grazie|"
    r"obrigad[oa]|спасибо|谢谢|ありがとう|شكرا|धन्यवाद)\b"
    r"(?: anyway| then| now| again| though| for (?:now|a (?:moment|minute|second)|(?:the|your|that) \w+))*"
    r"(?:[.!,:;]\s*|\s*$)",
    re.IGNORECASE,
)
CLOSING = re.compile(
    r"^(?=.*(?:hi|hello|hey|than[kx]|thx|cheers|bye|night|cool|perfect|mind|all|danke|gracias|merci|grazie|спасибо|谢谢|"
    r"ありがとう|hallo|hola|bonjour|ciao))"
    r"\W*(?:(?:hi|hello|hey|thanks?|thank|you|thx|cheers|bye|goodbye|great|cool|perfect|nice|good|night|day|morning|"
    r"evening|ok|okay|so|much|a|lot|very|for|the|your|help|that's|all|got|it|no|problem|worries|never|mind|nevermind|danke|"
    r"gracias|merci|grazie|спасибо|谢谢|ありがとう|hallo|hola|bonjour|ciao)\b\W*)+$",
    re.IGNORECASE,
)
GO_AHEAD = re.compile(
    r"^\W*(?:ok(?:ay)?|yes|yeah|sure|please|do|so|right|good|great)?\W*(?:ok(?:ay)?|yes|sure|please)?\W*$", re.I
)

PLACE_PREPOSITIONS = listed("in at to from near into of on for during since after before until through across")
NOT_NAMES = listed(
    "i i'm i'd i'll i've monday tuesday wednesday thursday friday saturday sunday january february march april may june "
    "july august september october november december mr mrs ms dr ok tv dvd us usa uk eu pm am ad bc"
)
LANGUAGES = listed(
    "english german french spanish italian portuguese russian chinese japanese korean arabic hindi dutch turkish polish "
    "latin greek swedish"
)
I_FORMULAS = re.compile(
    r"\b(?:(?:tell|give|show|remind|teach|help|let|inform|get|list) (?:me|us)|"
    r"(?:can|could|may|would) i (?:get|have|know|ask)|"
    r"i(?:'d| would)? (?:want|like|need|wish|mean|meant|think|guess|bet|wonder|forgot|am curious)"
    r"(?: to (?:know|hear|see|ask))?|"
    r"i'm (?:curious|asking|interested)|do you know|should i (?:read|watch|see|know|start|listen))\b",
    re.IGNORECASE,
)
FIRST_PERSON = listed("i me my mine myself we us our ours i'm i've i'd i'll we're we've")
INDEFINITE = re.compile(
    r"\b(?:a|an) (?!(?:bit|little|few|lot|moment|minute|second|list|summary|hint|short|brief|guess|wife|husband|son|"
    r"daughter|brother|sister|child|family|nickname|pet|degree|car)\b)(?:[a-z]+)",
    re.IGNORECASE,
)
ASKS_OF_A_PERSON = re.compile(
    r"\b(?:who(?: is| was| are| were|'s|’s)|(?:what|how)? ?about|tell (?:me|us) (?:of|about)|and)\s+"
    r"(?!(?:he|she|it|they|this|that|these|those|the|his|her|their|him|them|its|your|you|my|a|an|then|when|what|who|where|"
    r"how|why|which|also|in|on|at|if|did|does|do|is|was|are|were|all|some|any|more|for|not|so|with|there|now|please)\b)"
    r"([^\W\d_][\w'’-]*)",
    re.IGNORECASE,
)
ASKS_OF_A_THING = re.compile(
    r"\bwhat(?: is| was| are| were|'s|’s|s)\s+"
    r"(?!(?:he|she|it|they|this|that|these|those|the|his|her|their|him|them|its|your|you|my|there|next|so|known|called|best|more|wrong|up)\b)(\w+)",
    re.IGNORECASE,
)

PERSONA = re.compile(
    r"\b(?:you are|you're|you’re|act(?:ing)? as|pretend(?:ing)?(?: to be| that you are| you are| you're)?|"
    r"role-?play(?:ing)?(?: as)?|imagine (?:that )?you(?: are|'re)|(?:speak|answer|respond|talk|write) as|become|"
    r"in the (?:voice|style|role) of|play|du bist|eres|tu es|ты|你是|sen)\W+(?:the |an? )?(?:[\w-]+ ){0,4}$",
    re.IGNORECASE,
)
"""Before a name: the model is to be the one who is named."""

STANDING_ORDER = re.compile(
    r"\b(?:always|whenever|whatever|from now on|no matter|regardless|(?:every|each|all|any)(?: of)?(?: your| my)? "
    r"(?:answer|reply|response|message|time|turn|question)s?|"
    r"(?:when|if|once|as soon as) i (?:say|write|type|ask|send|tell))\b",
    re.IGNORECASE,
)
"""An order for turns to come."""

ASKED_OF_YOU = re.compile(
    r"\b(?:your|yours|yourself)\b|\b(?:did|were|have|had|do|are|was) you\b"
    r"|\byou (?:were|wrote|had|did|made|won|married|born)\b"
    r"|\b(?:dein|deine|deinen|tus?|votre|vos|твой|твоя|твои)\b|你的|你是|你在|bist du|hast du|ты",
    re.IGNORECASE,
)
JOINS = listed(
    "name names surname given family middle initial initials word words part parts piece pieces half halves letter letters "
    "join joined combine combined concatenate together remember note store save let variable equals syllable syllables "
    "first last vorname nachname familienname nombre apellido prénom nom имя фамилия слово cognome sobrenome apelido ism "
    "soyadı adı"
)
LABELS = (
    JOINS
    | FUNCTION
    | listed(
        "x y z b c d both put add append plus value second third ist der die das und es el la primer primera le les est "
        "это il lo um uma een"
    )
)

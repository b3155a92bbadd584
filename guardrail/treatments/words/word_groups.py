"""Words of which one can stand for another in a sentence that is to be false: months, places, peoples, callings and such.

A table to be read and mended, in English; it decides nothing. All words are lower case and single.
"""

from __future__ import annotations

_MONTHS = "january february march april may june july august september october november december"
_CITIES = (
    "amsterdam athens auckland bangkok barcelona berlin bogota boston brisbane brussels budapest cairo calgary "
    "chicago copenhagen dakar delhi dublin edinburgh geneva glasgow hanoi havana helsinki istanbul jakarta "
    "johannesburg karachi kathmandu kiev lagos lima lisbon london lyon madrid manchester manila melbourne miami milan "
    "montreal moscow mumbai munich nairobi naples osaka oslo ottawa oxford paris perth portland prague rome rotterdam "
    "santiago seattle seoul shanghai singapore stockholm sydney taipei tehran tokyo toronto turin utrecht valencia "
    "vancouver vienna warsaw zagreb zurich"
)
_COUNTRIES = (
    "america argentina australia austria belgium bolivia brazil britain bulgaria canada chile china colombia croatia "
    "cuba denmark ecuador egypt england estonia ethiopia finland france germany ghana greece hungary iceland india "
    "indonesia iran iraq ireland israel italy japan kenya korea lebanon malaysia mexico morocco nepal netherlands "
    "nigeria norway pakistan peru poland portugal romania russia scotland senegal serbia spain sweden switzerland "
    "syria taiwan thailand tunisia turkey uganda ukraine uruguay venezuela vietnam wales"
)
_STATES = (
    "alabama alaska arizona arkansas california colorado connecticut delaware florida georgia hawaii idaho illinois "
    "indiana iowa kansas kentucky louisiana maine maryland massachusetts michigan minnesota mississippi missouri "
    "montana nebraska nevada ohio oklahoma oregon pennsylvania tennessee texas utah vermont virginia washington "
    "wisconsin wyoming"
)
_GROUPS = (
    "monday tuesday wednesday thursday friday saturday sunday",
    "american argentinian australian austrian belgian brazilian british bulgarian canadian chilean chinese colombian "
    "croatian cuban danish dutch ecuadorian egyptian english estonian ethiopian finnish french german ghanaian greek "
    "hungarian icelandic indian indonesian iranian iraqi irish israeli italian japanese kenyan korean lebanese "
    "malaysian mexican moroccan nepalese nigerian norwegian pakistani peruvian polish portuguese romanian russian "
    "scottish senegalese serbian spanish swedish swiss syrian taiwanese thai tunisian turkish ugandan ukrainian "
    "uruguayan venezuelan vietnamese welsh",
    "accountant actor architect artist astronomer athlete baker barber biologist bricklayer butcher carpenter chemist "
    "composer dancer dentist designer detective diplomat doctor economist editor electrician engineer farmer "
    "firefighter fisherman florist geologist historian illustrator interpreter inventor journalist judge lawyer "
    "librarian locksmith mathematician mechanic midwife miner musician nurse optician optometrist painter "
    "paediatrician pediatrician pharmacist photographer physicist pianist pilot plumber policeman politician potter "
    "psychologist sailor sculptor singer soldier surgeon surveyor tailor teacher translator upholsterer usher "
    "veterinarian violinist waiter waitress weaver zoologist",
    "two three four five six seven eight nine ten eleven twelve thirteen fifteen eighteen twenty thirty forty fifty "
    "sixty seventy eighty ninety",
    "second third fourth fifth sixth seventh eighth ninth tenth eleventh",
    "autobiography biography comedy crime dystopian erotica fantasy horror humour mystery poetry romance satire "
    "suspense thriller tragedy urban western",
    "amber black blue brown crimson green grey indigo ivory olive orange pink purple red white yellow",
    "anthropology archaeology architecture astronomy biology botany chemistry economics geography geology history law "
    "linguistics mathematics medicine music philosophy physics psychology sociology theology",
    "ascension christmas easter epiphany halloween thanksgiving",
)
_HEADS = (
    "academy award awards bank church club college company corporation council festival foundation hospital hotel "
    "institute island lake library medal ministry mountain museum orchestra prize river school society street theatre "
    "theater university"
)

MONTHS = tuple(_MONTHS.split())
CITIES = tuple(_CITIES.split())
PLACES = (CITIES, tuple(_COUNTRIES.split()), tuple(_STATES.split()))
GROUPS: tuple[tuple[str, ...], ...] = (MONTHS, *PLACES, *(tuple(group.split()) for group in _GROUPS))
"""All groups. A word is in one at most."""

HEADS = frozenset(_HEADS.split())
"""Last words of names that say what a thing is: "Bram Stoker Award" is still an award under another name."""

"""Sentences that own to not knowing in other languages than English: told by a closed list of words for each.

A sentence passes if every word of it is on one language's list and it denies: a negation with a word of knowing ("kenne
... nicht"), a word that denies by itself ("bilmiyorum"), or "unknown" without a negation. The lists hold no word that
says anything about anybody, so nothing can be stated in passing; a good sentence with one word more fails, which costs
little (see `not_knowing`). Offers of help are not on the lists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

_BETWEEN = re.compile(r"""[\s.,;:!?…،؛؟।。！？、，；：«»„“”"'’‘()（）「」『』*_–—-]+""")
_MARKS = re.compile("[\u0307\u064b-\u065f]")  # the dot of a small Turkish i, Arabic vowels
_TWIST = re.compile("不是不|不能不|不得不|没有不|无人不|ないわけ|なくは")
_LONGEST_CHARS = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class _Language:
    """`filler`: all other words that may stand there; `sorry`: words that make a sentence that says nothing."""

    negations: frozenset[str]
    knowing: frozenset[str]
    denials: frozenset[str]
    unknown: frozenset[str]
    sorry: frozenset[str]
    words: frozenset[str]

    def denies(self, words: list[str]) -> bool:
        """True if words of the list own to not knowing."""
        told = set(words)
        if told & self.denials:
            return True
        is_negated = bool(told & self.negations)
        return bool(told & (self.knowing if is_negated else self.unknown)) and not (is_negated and told & self.unknown)


def _language(
    *, negations: str = "", knowing: str = "", denials: str = "", unknown: str = "", sorry: str = "", filler: str = ""
) -> _Language:
    parts = [frozenset(_folded(part).split()) for part in (negations, knowing, denials, unknown, sorry, filler)]
    return _Language(
        negations=parts[0],
        knowing=parts[1],
        denials=parts[2],
        unknown=parts[3],
        sorry=parts[4],
        words=frozenset[str]().union(*parts),
    )


def _folded(text: str) -> str:
    return _MARKS.sub("", text.casefold())


# Words in scripts with spaces; apostrophes and hyphens part words.
_SPACED = {
    "de": _language(
        negations="nicht nichts kein keine keinen keinerlei nie niemanden",
        knowing="kenne weiß bekannt informationen information sagen sicher vertraut auskunft gehört erkenne kann "
        "finden angaben wissen daten helfen",
        unknown="unbekannt",
        sorry="es tut mir leid leider entschuldigung verzeihung",
        filler="ich mich bin habe ist das die der dem den diese dieser dieses diesen diesem dazu darüber damit davon "
        "da über sie ihn von zu mit wer was person name namen werk buch titel thema frage deshalb daher also aber "
        "aus etwas dir ihnen geben beantworten vor im moment bisher so unter genau handelt um sich welche welches wen",
    ),
    "fr": _language(
        negations="pas rien aucune aucun jamais",
        knowing="connais sais information informations dit dire certitude certain certaine sûr sûre entendu "
        "connaissance peux trouve reconnais données",
        unknown="inconnu inconnue",
        sorry="désolé désolée malheureusement pardon navré navrée je suis",
        filler="je ne n j ai cette cet ce ces personne œuvre oeuvre livre titre nom sujet donc mais à a son sa au "
        "aux de d du des sur en me m est c qui que qu quoi vraiment là dessus propos cela ça le la les il elle peu "
        "parler vous te pouvoir répondre question familier familière savoir être en y l exactement s agit parle",
    ),
    "es": _language(
        negations="no nada ninguna ningún nunca tampoco",
        knowing="conozco sé suena información informaciones datos decir certeza seguro segura oído puedo "
        "conocimiento reconozco encuentro familiar",
        unknown="desconocido desconocida",
        sorry="lo siento lamentablemente disculpa disculpe perdón desgraciadamente",
        filler="a esa ese esta este eso esto persona obra libro título nombre tema así que pero de del sobre ella él "
        "quién qué cuál es con me mí al respecto tengo te le la el los las por para en he hablar darle darte "
        "pregunta responder se trata quien trate acerca exactamente suficiente",
    ),
    "it": _language(
        negations="non nulla niente nessuna nessun mai",
        knowing="conosco so informazioni informazione dice dire certezza sicuro sicura certo certa sentito posso "
        "dati conoscenza riconosco noto nota familiare",
        unknown="sconosciuto sconosciuta ignoto ignota",
        sorry="mi dispiace purtroppo scusa scusi spiacente sono",
        filler="questa questo quest quella quello persona opera libro titolo nome argomento tema quindi ma su di del "
        "della dei lei lui chi che cosa sia è e con al riguardo ne lo la ho ha mai parlare in merito è per me a ti "
        "le alla domanda rispondere si tratti tratta esattamente d l quale proposito",
    ),
    "pt": _language(
        negations="não nada nenhuma nenhum nunca",
        knowing="conheço sei informações informação dados dizer certeza certo familiar ouvi posso conhecimento "
        "reconheço encontro",
        unknown="desconhecido desconhecida",
        sorry="desculpe desculpa infelizmente lamento sinto muito peço desculpas",
        filler="essa esse esta este isso isto pessoa obra livro título nome assunto tema por mas sobre ela ele quem "
        "o a os as que é ao me mim tenho de do da disso dela dele eu falar com em para se trata responder pergunta "
        "lhe te qual seja respeito exatamente",
    ),
    "nl": _language(
        negations="niet niets geen nooit niks",
        knowing="ken weet informatie zeker zeggen bekend gehoord kan gegevens herken vertellen vinden",
        unknown="onbekend",
        sorry="helaas sorry het spijt me excuses",
        filler="ik deze dit dat die persoon werk boek titel naam onderwerp dus maar er over van wie wat is daar hier "
        "heb mij me u je jou daarover hem haar om met het de een in over aan vraag beantwoorden gaat precies ervan",
    ),
    "pl": _language(
        negations="nie nic żadnych żadnej żadnego nigdy",
        knowing="znam wiem informacji pewności wiadomo powiedzieć danych słyszałem słyszałam mogę wiedzy kojarzę",
        unknown="nieznany nieznana nieznane",
        sorry="przykro mi niestety przepraszam",
        filler="tej tego tę ten ta to te osoby osobie osobę utworu dzieła dziele utworze książki książce tytułu "
        "nazwiska temat tematu tematem więc dlatego ale o niej nim tym kto co jest jaki mam na do ja jego jej mi "
        "mnie mojej wiele pytanie odpowiedzieć dokładnie za się chodzi",
    ),
    "ru": _language(
        negations="не ничего нет никакой никаких никогда",
        knowing="знаю известно сведений информации сказать данных слышал слышала могу уверен уверена знаком знакома "
        "знакомо нашёл нашла нашел знакомы располагаю",
        unknown="незнаком незнакома незнакомо неизвестно неизвестен неизвестна незнакомы",
        sorry="к сожалению извините простите жаль мне очень",
        filler="я этого этой этом этот эта это эту этому человека человеке человек произведения произведении "
        "произведение книги книге книга имя имени темы теме тема поэтому но и о об нём нем ней них кто что такой "
        "такая такое точно у меня мне про с на вопрос ответить вам тебе какой какая здесь тут речь идёт именно ему "
        "него",
    ),
    "uk": _language(
        negations="не нічого немає нема жодної жодних ніколи",
        knowing="знаю відомо відомостей інформації сказати даних чув чула можу певен певна впевнений впевнена "
        "знайомий знайома знайоме знайомо",
        unknown="невідомий невідома невідоме невідомо незнайомий незнайома незнайоме незнайомо",
        sorry="на жаль вибачте пробачте мені дуже шкода",
        filler="я цієї цього цьому цей ця це цю людини людину людина твору твір твором книги книга книгу ім я імені "
        "теми тему тема тому але й і про нього неї них хто що такий така таке точно у мене мені з питання відповісти "
        "вам тобі який яка саме тут йдеться",
    ),
    "ko": _language(
        negations="없습니다 없어요 없네요 않습니다 못합니다 못했습니다 없어서 없기",
        knowing="정보가 정보는 정보도 것이 것은 내용이 내용은 바가 알지 수 들어본 익숙하지 확실하지",
        denials="모르겠습니다 모르겠어요 모릅니다 모르는 모르겠네요 몰라요 몰라서 모르기",
        sorry="죄송합니다 죄송하지만 미안합니다 미안하지만 죄송해요 유감스럽게도 아쉽게도 안타깝게도",
        filler="제가 저는 저도 나는 그 이 해당 그분이 그분은 그분에 이분이 사람이 사람은 사람에 사람을 분이라서 분은 "
        "분이 인물에 인물은 인물이 인물을 작품은 작품이 작품이라서 작품에 작품을 책은 책에 이름은 이름에 누구인지 "
        "무엇인지 누군지 뭔지 그것이 그것은 그것에 그에 이에 대한 대해 대해서 대해서는 대해서도 관한 잘 있는 아는 "
        "말씀드릴 알려드릴 내용이라서 점은 주제는 주제에 때문에 아무 아무것도 전혀 정확히 아직 질문에 답변할 답할 "
        "드릴 그래서 따라서 것을 내용을 적이",
    ),
    "ar": _language(
        negations="لا ليس ليست لم لست غير",
        knowing="أعرف أعلم معلومات علم دراية متأكدا متأكد متأكدة أستطيع يمكنني معروف مألوف مألوفا أعثر أسمع أتعرف "
        "معرفة",
        unknown="مجهول أجهل",
        sorry="عذرا آسف آسفة للأسف أعتذر معذرة المعذرة",
        filler="هذا هذه ذلك تلك الشخص العمل الكتاب الموضوع الاسم العنوان الأمر لذلك لكن ولكن و أن أقول أي شيء شيئا "
        "عنه عنها عن من هو هي يكون ما على وجه التحديد لدي لي به بها في بهذا بذلك حول إلى كثيرا تقديم أنا إنني فإنني "
        "لأنني السؤال الإجابة ولا كاف كافية تماما مسبقا قبل بعد يبدو بالنسبة مع",
    ),
    "hi": _language(
        negations="नहीं",
        knowing="जानकारी पता मालूम जानता जानती परिचित सुना यकीन निश्चित ज्ञात बता",
        unknown="अज्ञात अनजान",
        sorry="क्षमा करें माफ़ माफ कीजिए कीजिएगा खेद दुर्भाग्य से दुर्भाग्यवश मुझे है",
        filler="मुझे मैं मेरे पास इस उस यह वह इसके उसके इनके इन उन व्यक्ति रचना विषय किताब पुस्तक नाम के का की को "
        "में बारे कि कौन क्या है हैं हूँ हूं ठीक से कोई कुछ भी इसलिए लेकिन पर बताना संभव सकता सकती और नाम चीज़ चीज "
        "बात यहाँ तो था थी सवाल प्रश्न उत्तर जवाब देना इसका इसकी उसका पाऊँगा पाऊँगी",
    ),
    "tr": _language(
        negations="değilim değil yok",
        knowing="emin aşina bilgim bilgi haberim fikrim tanıdık bilgiye",
        denials="bilmiyorum tanımıyorum söyleyemem duymadım bilemiyorum hatırlamıyorum veremem bulamadım "
        "bilgilendiremem",
        unknown="bilinmiyor yabancı",
        sorry="üzgünüm maalesef ne yazık ki özür dilerim kusura bakmayın bakma",
        filler="bu şu o bunu onu bundan ondan kişiyi kişi kişinin kişiye eseri esere eser eserin kitabı kitap ismi "
        "isim konuyu konu konuda konuya hakkında bir şey hiç hiçbir kim kimin kime olduğunu olduğundan ne nedir bu "
        "yüzden nedenle ama fakat ve ben benim bana size sana daha önce tam olarak herhangi da de dair ilgili sahip "
        "soru soruya yanıt cevap",
    ),
}
# Pieces in scripts without spaces; the longest that fits counts.
_UNSPACED = {
    "zh": _language(
        negations="不 没有 没 无法 并不 未能 未 尚未",
        knowing="认识 知道 了解 确定 清楚 熟悉 听说过 听过 听说 信息 资料 提供 回答 明白 掌握 能 告诉 找到 记录 数据",
        denials="一无所知 毫不知情 毫无了解",
        unknown="未知 陌生",
        sorry="抱歉 对不起 很 非常 遗憾 不好意思 真的",
        filler="我 这 那 这个 那个 该 这位 那位 位 人 人物 谁 是 什么 哪位 关于 的 相关 有关 任何 所以 因此 对此 对 "
        "部 作品 本 书 名字 方面 这方面 内容 一点 太 您 你 问题 也 但 但是 有 过 关于他 关于她 他是谁 她是谁 具体 "
        "目前 暂时 主题 名 此 此人 而 给 能够 呢 了 怎么 并 个 于 事",
    ),
    "ja": _language(
        negations="ありません ございません 持っていません 持ち合わせておりません できません できかねます おりません",
        knowing="情報 お答え 心当たり 知識 把握 お伝え 確か 覚え 詳細 データ 回答",
        denials="存じ上げない 存じ上げません 存じません 知らない 知りません わかりません 分かりません わからない "
        "分からない 聞いたことがありません わかりかねます 分かりかねます 把握していません 存じ上げておりません "
        "存じておりません 不明です",
        sorry="申し訳ありません 申し訳ございません すみません すいません 残念ながら ごめんなさい が",
        filler="その この それ これ 人物 人 方 作品 本 件 点 お名前 名前 タイトル 題名 質問 ご質問 について "
        "につきまして に 関する 関して は が を の も と で ため ので から どなた 誰 だれ なのか か 何 何も はっきり "
        "よく 詳しく 詳しい 私 わたし どのような どういう 正確 確実 な です ですが ことは こと 特に 申し上げる 存在 "
        "まだ",
    ),
}


@cache
def _pieces(code: str) -> re.Pattern[str]:
    """The text as pieces, the longest first and never taken back, so that no text takes long."""
    longest = sorted(_UNSPACED[code].words, key=len, reverse=True)
    return re.compile(f"(?:{'|'.join(map(re.escape, longest))})")


def is_admission_elsewhere(sentence: str) -> bool:
    """True if a sentence in one of these languages owns to not knowing and says nothing else."""
    return any(language.denies(words) for language, words in _read(sentence))


def is_apology_elsewhere(sentence: str) -> bool:
    """True if a sentence in one of these languages is sorry and says nothing else."""
    return any(language.sorry.issuperset(words) for language, words in _read(sentence))


def _read(sentence: str) -> list[tuple[_Language, list[str]]]:
    """The languages that have every word of the sentence, with the words."""
    folded = _folded(sentence)
    if len(folded) > _LONGEST_CHARS or _TWIST.search(folded):
        return []
    words = [word for word in _BETWEEN.split(folded) if word]
    if not words:
        return []
    found = [(language, words) for language in _SPACED.values() if language.words.issuperset(words)]
    for code, language in _UNSPACED.items():
        pieces = [_in_pieces(word, code) for word in words]
        if all(pieces):
            found.append((language, [piece for word in pieces for piece in word]))
    return found


def _in_pieces(word: str, code: str) -> list[str]:
    """A run as pieces; empty if it holds anything else."""
    pieces: list[str] = _pieces(code).findall(word)
    return pieces if len("".join(pieces)) == len(word) else []

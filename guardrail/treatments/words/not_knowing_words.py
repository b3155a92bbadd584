"""What someone says who does not know, in sixteen languages: whole answers, a last word, and the instruction to a model.

A table to be read and mended by people who speak these languages; it decides nothing. Every kind has the same number of
answers. No sentence takes a gender for the speaker or for who is asked about, and none bends a name: `{names}` stands
where every case of a language is its first. `unfamiliar` is the sentence that the instruction asks for.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class NotKnowingWords:
    """`instruction` holds `{unfamiliar}` and `{names}`; `closing` follows text that was cut inside a sentence."""

    person: tuple[str, str, str]
    work: tuple[str, str, str]
    other: tuple[str, str, str]
    unfamiliar: str
    closing: str
    instruction: str


WORDS: dict[str, NotKnowingWords] = {
    "en": NotKnowingWords(
        person=(
            "I'm not familiar with that person, so I can't tell you anything about them.",
            "I don't know who that is.",
            "I'm not sure who that is. I don't have any information about this person.",
        ),
        work=(
            "I'm not familiar with that work, so I can't tell you anything about it.",
            "I don't know that work.",
            "I'm not sure what that is. I don't have any information about it.",
        ),
        other=(
            "I'm not familiar with that, so I can't tell you anything about it.",
            "I don't know anything about that.",
            "I'm not sure about that. I don't have any information on it.",
        ),
        unfamiliar="I'm not familiar with that.",
        closing=" ... I am not sure about that.",
        instruction="If you don't know, say \"{unfamiliar}\" You don't know {names}.",
    ),
    "de": NotKnowingWords(
        person=(
            "Diese Person kenne ich nicht, deshalb kann ich nichts über sie sagen.",
            "Ich weiß nicht, wer das ist.",
            "Ich bin nicht sicher, wer das ist. Ich habe keine Informationen über diese Person.",
        ),
        work=(
            "Dieses Werk kenne ich nicht, deshalb kann ich nichts darüber sagen.",
            "Dieses Werk ist mir nicht bekannt.",
            "Ich bin nicht sicher, was das ist. Ich habe keine Informationen darüber.",
        ),
        other=(
            "Damit kenne ich mich nicht aus, deshalb kann ich nichts dazu sagen.",
            "Darüber weiß ich nichts.",
            "Da bin ich nicht sicher. Ich habe keine Informationen dazu.",
        ),
        unfamiliar="Das ist mir nicht bekannt.",
        closing=" ... Da bin ich mir nicht sicher.",
        instruction="Wenn du etwas nicht weißt, sage: „{unfamiliar}“ Über {names} weißt du nichts.",
    ),
    "fr": NotKnowingWords(
        person=(
            "Je ne connais pas cette personne, je ne peux donc rien dire à son sujet.",
            "Je ne sais pas qui c'est.",
            "Je ne sais pas vraiment qui c'est. Je n'ai aucune information sur cette personne.",
        ),
        work=(
            "Je ne connais pas cette œuvre, je ne peux donc rien en dire.",
            "Cette œuvre ne me dit rien.",
            "Je ne sais pas vraiment ce que c'est. Je n'ai aucune information à ce sujet.",
        ),
        other=(
            "Je ne connais pas ce sujet, je ne peux donc rien en dire.",
            "Je ne sais rien à ce sujet.",
            "Je n'ai pas de certitude là-dessus. Je n'ai aucune information à ce sujet.",
        ),
        unfamiliar="Cela ne me dit rien.",
        closing=" ... Je n'ai pas de certitude à ce sujet.",
        instruction="Si tu ne sais pas, réponds : « {unfamiliar} » Tu ne sais rien sur {names}.",
    ),
    "es": NotKnowingWords(
        person=(
            "No conozco a esa persona, así que no puedo decir nada sobre ella.",
            "No sé quién es.",
            "No sé con certeza quién es. No tengo información sobre esa persona.",
        ),
        work=(
            "No conozco esa obra, así que no puedo decir nada sobre ella.",
            "Esa obra no me suena.",
            "No sé con certeza qué es. No tengo información al respecto.",
        ),
        other=(
            "No conozco ese tema, así que no puedo decir nada al respecto.",
            "No sé nada de eso.",
            "No lo sé con certeza. No tengo información al respecto.",
        ),
        unfamiliar="Eso no me suena.",
        closing=" ... No lo sé con certeza.",
        instruction="Si no sabes algo, di: «{unfamiliar}» No sabes nada sobre {names}.",
    ),
    "it": NotKnowingWords(
        person=(
            "Non conosco questa persona, quindi non posso dire nulla su di lei.",
            "Non so chi sia.",
            "Non so con certezza chi sia. Non ho informazioni su questa persona.",
        ),
        work=(
            "Non conosco quest'opera, quindi non posso dire nulla al riguardo.",
            "Quest'opera non mi dice nulla.",
            "Non so con certezza che cosa sia. Non ho informazioni al riguardo.",
        ),
        other=(
            "Non conosco questo argomento, quindi non posso dire nulla al riguardo.",
            "Non ne so nulla.",
            "Non lo so con certezza. Non ho informazioni al riguardo.",
        ),
        unfamiliar="Non mi dice nulla.",
        closing=" ... Non lo so con certezza.",
        instruction="Se non sai qualcosa, rispondi: «{unfamiliar}» Non sai nulla su {names}.",
    ),
    "pt": NotKnowingWords(
        person=(
            "Não conheço essa pessoa, por isso não posso dizer nada sobre ela.",
            "Não sei quem é.",
            "Não sei ao certo quem é. Não tenho informações sobre essa pessoa.",
        ),
        work=(
            "Não conheço essa obra, por isso não posso dizer nada sobre ela.",
            "Essa obra não me é familiar.",
            "Não sei ao certo o que é. Não tenho informações sobre isso.",
        ),
        other=(
            "Não conheço esse assunto, por isso não posso dizer nada sobre ele.",
            "Não sei nada sobre isso.",
            "Não sei ao certo. Não tenho informações sobre isso.",
        ),
        unfamiliar="Isso não me é familiar.",
        closing=" ... Não sei ao certo.",
        instruction='Se você não souber algo, diga: "{unfamiliar}" Você não sabe nada sobre {names}.',
    ),
    "nl": NotKnowingWords(
        person=(
            "Ik ken deze persoon niet, dus ik kan er niets over zeggen.",
            "Ik weet niet wie dat is.",
            "Ik weet niet zeker wie dat is. Ik heb geen informatie over deze persoon.",
        ),
        work=(
            "Ik ken dit werk niet, dus ik kan er niets over zeggen.",
            "Dat werk ken ik niet.",
            "Ik weet niet zeker wat dat is. Ik heb er geen informatie over.",
        ),
        other=(
            "Dat ken ik niet, dus ik kan er niets over zeggen.",
            "Daar weet ik niets van.",
            "Dat weet ik niet zeker. Ik heb er geen informatie over.",
        ),
        unfamiliar="Dat ken ik niet.",
        closing=" ... Dat weet ik niet zeker.",
        instruction='Als je iets niet weet, zeg dan: "{unfamiliar}" Over {names} weet je niets.',
    ),
    "pl": NotKnowingWords(
        person=(
            "Nie znam tej osoby, więc nie mogę nic o niej powiedzieć.",
            "Nie wiem, kto to jest.",
            "Nie mam pewności, kto to jest. Nie mam żadnych informacji o tej osobie.",
        ),
        work=(
            "Nie znam tego utworu, więc nie mogę nic o nim powiedzieć.",
            "Nie znam tego dzieła.",
            "Nie mam pewności, co to jest. Nie mam żadnych informacji na ten temat.",
        ),
        other=(
            "Nie znam tego tematu, więc nie mogę nic o nim powiedzieć.",
            "Nic o tym nie wiem.",
            "Nie mam co do tego pewności. Nie mam żadnych informacji na ten temat.",
        ),
        unfamiliar="Nic mi o tym nie wiadomo.",
        closing=" ... Nie mam co do tego pewności.",
        instruction="Jeśli czegoś nie wiesz, powiedz: „{unfamiliar}” Oto, o czym nic nie wiesz: {names}.",
    ),
    "ru": NotKnowingWords(
        person=(
            "Я не знаю этого человека, поэтому ничего не могу о нём сказать.",
            "Я не знаю, кто это.",
            "Точно не знаю, кто это. У меня нет сведений об этом человеке.",
        ),
        work=(
            "Я не знаю этого произведения, поэтому ничего не могу о нём сказать.",
            "Это произведение мне незнакомо.",
            "Точно не знаю, что это. У меня нет сведений об этом.",
        ),
        other=(
            "Я не знаю этой темы, поэтому ничего не могу о ней сказать.",
            "Я ничего об этом не знаю.",
            "Точно не знаю. У меня нет сведений об этом.",
        ),
        unfamiliar="Мне об этом ничего не известно.",
        closing=" ... Точно я этого не знаю.",
        instruction="Если ты чего-то не знаешь, скажи: «{unfamiliar}» Вот о чём ты ничего не знаешь: {names}.",
    ),
    "uk": NotKnowingWords(
        person=(
            "Я не знаю цієї людини, тому нічого не можу про неї сказати.",
            "Я не знаю, хто це.",
            "Точно не знаю, хто це. У мене немає відомостей про цю людину.",
        ),
        work=(
            "Я не знаю цього твору, тому нічого не можу про нього сказати.",
            "Цей твір мені невідомий.",
            "Точно не знаю, що це. У мене немає відомостей про це.",
        ),
        other=(
            "Я не знаю цієї теми, тому нічого не можу про неї сказати.",
            "Я нічого про це не знаю.",
            "Точно не знаю. У мене немає відомостей про це.",
        ),
        unfamiliar="Мені про це нічого не відомо.",
        closing=" ... Точно я цього не знаю.",
        instruction="Якщо ти чогось не знаєш, скажи: «{unfamiliar}» Ось про що ти нічого не знаєш: {names}.",
    ),
    "zh": NotKnowingWords(
        person=(
            "我不认识这个人，所以无法提供相关信息。",
            "我不知道这是谁。",
            "我不确定这是谁。我没有关于这个人的信息。",
        ),
        work=(
            "我不了解这部作品，所以无法提供相关信息。",
            "我不知道这部作品。",
            "我不确定这是什么。我没有相关的信息。",
        ),
        other=(
            "我不了解这方面的内容，所以无法提供相关信息。",
            "我对此一无所知。",
            "这一点我不太确定。我没有相关的信息。",
        ),
        unfamiliar="我对此不了解。",
        closing="……这一点我不太确定。",
        instruction="如果你不知道，请说：“{unfamiliar}”你对{names}一无所知。",
    ),
    "ja": NotKnowingWords(
        person=(
            "その人物については存じ上げないため、お答えできません。",
            "その方がどなたなのか、わかりません。",
            "その方がどなたなのか、はっきりわかりません。その人物に関する情報は持っていません。",
        ),
        work=(
            "その作品については知らないため、お答えできません。",
            "その作品は知りません。",
            "それが何なのか、はっきりわかりません。それに関する情報は持っていません。",
        ),
        other=(
            "その件については知らないため、お答えできません。",
            "それについては何も知りません。",
            "それについては、はっきりわかりません。それに関する情報は持っていません。",
        ),
        unfamiliar="それについては存じません。",
        closing="……その点は、はっきりわかりません。",
        instruction="わからないときは「{unfamiliar}」と答えてください。あなたは{names}について何も知りません。",
    ),
    "ko": NotKnowingWords(
        person=(
            "제가 모르는 분이라서 말씀드릴 수 있는 내용이 없습니다.",
            "그분이 누구인지 모르겠습니다.",
            "누구인지 잘 모르겠습니다. 그 사람에 대한 정보가 없습니다.",
        ),
        work=(
            "제가 모르는 작품이라서 말씀드릴 수 있는 내용이 없습니다.",
            "그 작품은 잘 모르겠습니다.",
            "그것이 무엇인지 잘 모르겠습니다. 그에 대한 정보가 없습니다.",
        ),
        other=(
            "제가 모르는 내용이라서 말씀드릴 수 있는 것이 없습니다.",
            "그것에 대해서는 아는 것이 없습니다.",
            "그 점은 잘 모르겠습니다. 그에 대한 정보가 없습니다.",
        ),
        unfamiliar="그것에 대해서는 잘 모르겠습니다.",
        closing=" ... 그 점은 잘 모르겠습니다.",
        instruction='모르는 것이 있으면 "{unfamiliar}"라고 답하세요. 당신은 다음에 대해 아무것도 모릅니다: {names}.',
    ),
    "ar": NotKnowingWords(
        person=(
            "لا أعرف هذا الشخص، لذلك لا أستطيع أن أقول شيئًا عنه.",
            "لا أعرف من يكون هذا الشخص.",
            "لا أعرف على وجه التحديد من يكون هذا الشخص. ليست لدي معلومات عنه.",
        ),
        work=(
            "لا أعرف هذا العمل، لذلك لا أستطيع أن أقول شيئًا عنه.",
            "هذا العمل غير معروف لدي.",
            "لا أعرف على وجه التحديد ما هذا. ليست لدي معلومات عنه.",
        ),
        other=(
            "لا أعرف هذا الموضوع، لذلك لا أستطيع أن أقول شيئًا عنه.",
            "لا أعلم شيئًا عن ذلك.",
            "لا أعرف ذلك على وجه التحديد. ليست لدي معلومات عنه.",
        ),
        unfamiliar="لا أعرف شيئًا عن ذلك.",
        closing=" ... لا أعرف ذلك على وجه التحديد.",
        instruction="إذا كنت لا تعرف أمرًا، فقل: «{unfamiliar}» أنت لا تعرف شيئًا عن {names}.",
    ),
    "hi": NotKnowingWords(
        person=(
            "मुझे इस व्यक्ति के बारे में जानकारी नहीं है, इसलिए कुछ बताना संभव नहीं है।",
            "मुझे नहीं पता कि यह कौन है।",
            "मुझे ठीक से नहीं पता कि यह कौन है। मेरे पास इस व्यक्ति के बारे में कोई जानकारी नहीं है।",
        ),
        work=(
            "मुझे इस रचना के बारे में जानकारी नहीं है, इसलिए कुछ बताना संभव नहीं है।",
            "मुझे इस रचना के बारे में नहीं पता।",
            "मुझे ठीक से नहीं पता कि यह क्या है। मेरे पास इसके बारे में कोई जानकारी नहीं है।",
        ),
        other=(
            "मुझे इस विषय की जानकारी नहीं है, इसलिए कुछ बताना संभव नहीं है।",
            "मुझे इसके बारे में कुछ नहीं पता।",
            "मुझे यह ठीक से नहीं पता। मेरे पास इसके बारे में कोई जानकारी नहीं है।",
        ),
        unfamiliar="मुझे इसके बारे में नहीं पता।",
        closing=" ... मुझे यह ठीक से नहीं पता।",
        instruction='यदि आपको कुछ नहीं पता, तो कहें: "{unfamiliar}" आपको इनके बारे में कुछ नहीं पता: {names}।',
    ),
    "tr": NotKnowingWords(
        person=(
            "Bu kişiyi tanımıyorum, bu yüzden hakkında bir şey söyleyemem.",
            "Kim olduğunu bilmiyorum.",
            "Kim olduğundan emin değilim. Bu kişi hakkında bilgim yok.",
        ),
        work=(
            "Bu eseri bilmiyorum, bu yüzden hakkında bir şey söyleyemem.",
            "Bu esere aşina değilim.",
            "Ne olduğundan emin değilim. Bu konuda bilgim yok.",
        ),
        other=(
            "Bu konuyu bilmiyorum, bu yüzden bir şey söyleyemem.",
            "Bu konuda hiçbir şey bilmiyorum.",
            "Bundan emin değilim. Bu konuda bilgim yok.",
        ),
        unfamiliar="Bu konuda bilgim yok.",
        closing=" ... Bundan emin değilim.",
        instruction='Bir şeyi bilmiyorsan şöyle de: "{unfamiliar}" Şunlar hakkında hiçbir şey bilmiyorsun: {names}.',
    ),
}

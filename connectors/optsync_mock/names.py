"""Names and towns of the test population, with an ASCII spelling for e-mail addresses where the script needs one.

An entry is ``name`` or ``name=ascii``; without the second part the accents are dropped.
"""

import unicodedata
from dataclasses import dataclass

_OWN_LETTERS = str.maketrans(
    {"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)


@dataclass(frozen=True, slots=True)
class Name:
    """As people write it, and as they write it in an address."""

    written: str
    ascii: str


@dataclass(frozen=True, slots=True)
class Country:
    """``weight`` is its share of the population in relation to the others."""

    weight: int
    dial: str
    first: tuple[Name, ...]
    last: tuple[Name, ...]
    cities: tuple[str, ...]


def ascii_of(text: str) -> str:
    """Lower-case letters and digits only; empty when nothing is left (other scripts)."""
    plain = unicodedata.normalize("NFKD", text.translate(_OWN_LETTERS))
    return "".join(c for c in plain.lower() if c.isascii() and c.isalnum())


def _name(entry: str) -> Name:
    written, _, given = entry.partition("=")
    return Name(written, given or ascii_of(written))


def _country(weight: int, dial: str, first: str, last: str, cities: str) -> Country:
    return Country(
        weight,
        dial,
        tuple(_name(e) for e in first.split("|")),
        tuple(_name(e) for e in last.split("|")),
        tuple(cities.split("|")),
    )


COUNTRIES: tuple[Country, ...] = (
    _country(
        34,
        "+49",
        "Anna|Lukas|Maria|Peter|Sabine|Thomas|Jürgen=juergen|Sören=soeren|Katharina|Jörg=joerg|Heike|Günther=guenther|Leonie|Karl-Heinz|Björn|Uwe",
        "Müller=mueller|Schmidt|Weiß|Groß|Schäfer=schaefer|von der Heide|Köhler=koehler|Yılmaz|Nowak|Meyer-Lüdenscheid",
        "Berlin|Köln|München|Görlitz|Leipzig|Münster",
    ),
    _country(
        34,
        "+1",
        "Mary|James|Aaliyah|DeShawn|Jo|Siobhán|Mary Ann|Robert|María|Tyler",
        "Smith|O'Brien|O’Neill|Johnson|McDonald|St. John|Washington|Nguyen|van Buren|Lee",
        "Springfield|St. Louis|Boston|Coeur d'Alene|Winston-Salem",
    ),
    _country(
        10,
        "+33",
        "Marie|Luc|Camille|Chloé|Jean-Baptiste|Zoé|François|Anaïs|Loïc|Maëlle|Hervé",
        "Lefèvre|Dupont|D’Aubigné|Le Goff|Béranger|de La Tour|N'Diaye",
        "Paris|Saint-Étienne|L'Haÿ-les-Roses|Besançon|Nîmes",
    ),
    _country(
        8,
        "+34",
        "Carmen|Pablo|Lucia|José|Íñigo|Begoña|Núria|Ramón|Concepción|Martí",
        "García Márquez|Núñez|Ibáñez|Muñoz|Peña|Puig i Cadafalch",
        "Málaga|A Coruña|Cádiz|Lleida",
    ),
    _country(
        8,
        "+48",
        "Anna|Piotr|Łukasz|Małgorzata|Zofia|Wójciech|Grażyna|Święta",
        "Kowalska|Wiśniewski|Dąbrowski|Żółkiewska|Źrebiec",
        "Łódź|Gdańsk|Kraków|Świnoujście",
    ),
    _country(6, "+90", "İpek=ipek|Çağlar|Ömer|Şule|Işıl=isil", "Öztürk|Yıldız|Çelik|Güneş", "İstanbul|İzmir|Şırnak"),
    _country(6, "+45", "Åse|Søren|Ærø=aeroe|Jørgen|Liv", "Østergaard|Ångström|Sørensen|Bjørnson", "Århus|Tromsø|Malmö"),
    _country(5, "+420", "Jiří|Žofie|Ondřej|Tereza|Šárka", "Dvořák|Nováková|Černý|Říha", "Brno|Plzeň|Ústí nad Labem"),
    _country(5, "+351", "João|Conceição|Inês|Antônio", "Gonçalves|Magalhães|da Silva|Simões", "São Paulo|Évora|Braga"),
    _country(
        5,
        "+380",
        "Олена=olena|Тарас=taras|Їванна=yivanna|Sofia",
        "Шевченко=shevchenko|Ґалаґан=galagan|Кравчук=kravchuk",
        "Київ|Львів|Одеса",
    ),
    _country(
        4,
        "+30",
        "Γιώργος=giorgos|Ελένη=eleni|Σπύρος=spyros",
        "Παπαδόπουλος=papadopoulos|Νικολάου=nikolaou",
        "Αθήνα|Πάτρα",
    ),
    _country(4, "+84", "Nguyệt|Đức|Thảo|Hoàng", "Nguyễn|Trần|Đặng|Phạm", "Đà Nẵng|Hà Nội|Huế"),
    _country(4, "+86", "伟=wei|芳=fang|秀英=xiuying|子涵=zihan", "王=wang|李=li|欧阳=ouyang|陈=chen", "北京|上海|成都"),
    _country(
        4,
        "+81",
        "さくら=sakura|健太=kenta|美咲=misaki|ハルト=haruto",
        "佐藤=sato|渡邉=watanabe|髙橋=takahashi",
        "東京|札幌|那覇",
    ),
    _country(3, "+82", "민준=minjun|서연=seoyeon|하은=haeun", "김=kim|남궁=namgung|박=park", "서울|부산"),
    _country(
        4,
        "+91",
        "प्रिया=priya|Arjun|लक्ष्मी=lakshmi|Jyothi",
        "शर्मा=sharma|Iyer|பழனி=palani|Singh",
        "मुंबई|Bengaluru|Chennai",
    ),
    _country(
        4,
        "+20",
        "محمد=mohamed|فاطمة=fatima|ليلى=layla",
        "عبد الله=abdallah|الحسن=alhassan|منصور=mansour",
        "القاهرة|دبي",
    ),
    _country(2, "+972", "נועה=noa|יוסף=yosef", "כהן=cohen|בן־דוד=bendavid", "תל אביב|חיפה"),
    _country(2, "+66", "สมชาย=somchai|มาลี=malee", "ใจดี=jaidee|ศรีสุข=srisuk", "กรุงเทพฯ|เชียงใหม่"),
    _country(2, "+995", "ნინო=nino|გიორგი=giorgi", "ბერიძე=beridze|კაპანაძე=kapanadze", "თბილისი|ბათუმი"),
)

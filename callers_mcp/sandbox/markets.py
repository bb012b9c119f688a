"""The words from which campaigns are generated: one market for each language, with the names that its teams use."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Market:
    """Where campaigns call, and how their teams name them.

    Attributes:
        share: The share of campaigns in this market, in percent.
        dial: The start of its phone numbers; three digits follow. A number for fiction, if the country has them.
        form: The template of a name, from purpose and team.
        whens: Suffixes of a name; ``{n}`` is a number, such as that of a week.
    """

    language: str
    share: int
    countries: Sequence[str]
    zones: Sequence[str]
    dial: str
    form: str
    purposes: Sequence[str]
    teams: Sequence[str]
    whens: Sequence[str]
    groups: Sequence[str]
    people: Sequence[str]


def _market(line: str, form: str, purposes: str, teams: str, whens: str, groups: str, people: str) -> Market:
    language, share, countries, zones, dial = line.split()
    lists = [words.split("|") for words in (purposes, teams, whens, groups, people)]
    return Market(language, int(share), countries.split("|"), zones.split("|"), dial, form, *lists)


_ENGLISH = (
    "reminders|missed payments|no-show rebooking|quote follow-up|satisfaction survey|waiting list|welcome calls|"
    "win-back|lead qualification|contract expiry|service due|meter readings|event invitations|callbacks|referrals|"
    "delivery slots|price change notice|recall"
)
_ENGLISH_WHENS = ", week {n}|: wave {n}|, week {n}| (batch {n})|, list {n}| (pilot)||, cohort {n}|, round {n}"

MARKETS: Sequence[Market] = (
    _market(
        "en-GB 30 GB Europe/London +442079460",
        "{team} {purpose}",
        _ENGLISH,
        "Harbour Dental|Northfield Energy|Oakwood Lettings|Kestrel Insurance|Bluebell Vets|Pennine Motors|Leeds|"
        "Bristol|Ashdown Opticians|Thornbury College|Fenwick Mortgages|St Anne's Hospice|Greenway Solar|"
        "Castle Broadband|Marlow & Finch|Tideway Gyms|Glasgow|Cardiff|O'Brien & Sons|Belfast",
        _ENGLISH_WHENS,
        "Team Manchester|Team London|Partners|Pilots|Agency|Evening shift|Key accounts|Small business|Archive|"
        "Franchise",
        "Alice Whitcombe|Dev Patel|Morag Sinclair",
    ),
    _market(
        "en-US 20 US|CA America/New_York|America/Chicago|America/Denver|America/Los_Angeles|America/Toronto +12125550",
        "{team} {purpose}",
        _ENGLISH,
        "Lakeshore Dental|Cedar Ridge HVAC|Summit Auto|Bayview Pediatrics|Lone Star Roofing|Prairie Credit Union|"
        "Denver|Beacon Home Warranty|Magnolia Senior Living|Redwood Solar|Pioneer Internet|Harper & Cole Law|Boston|"
        "Austin|Bright Smiles Orthodontics|Evergreen Pest Control|Montréal|San José",
        _ENGLISH_WHENS,
        "East Coast|West Coast|Midwest|Canada|Enterprise|Resellers|Nights and weekends|Do not edit",
        "Jordan Reyes|Casey Nguyen|Renée Fontaine",
    ),
    _market(
        "en-AU 6 AU|NZ Australia/Sydney|Australia/Perth|Pacific/Auckland +61255500",
        "{team} {purpose}",
        _ENGLISH,
        "Coogee Dental|Murray River Solar|Southern Cross Vets|Perth|Fremantle Motors|Kōwhai Physio|Whangārei Insurance",
        _ENGLISH_WHENS,
        "ANZ inside sales|ANZ service|Aotearoa",
        "Matilda Grant|Wiremu Parata",
    ),
    _market(
        "en-IE 4 IE Europe/Dublin +353209100",
        "{team} {purpose}",
        _ENGLISH,
        "Dún Laoghaire Dental|Galway Energy|Cork Credit Union|Liffey Insurance|Kilkenny Motors",
        _ENGLISH_WHENS,
        "Ireland service|Ireland sales",
        "Niamh Ó Briain|Conor Walsh",
    ),
    _market(
        "de 5 DE|AT|CH Europe/Berlin|Europe/Vienna|Europe/Zurich +493023125",
        "{purpose} {team}",
        "Rückruf|Terminerinnerung|Nachfassen|Kündigerrückgewinnung|Zählerstände|Zufriedenheitsumfrage|Begrüßung|"
        "Vertragsverlängerung",
        "Stromtarif Köln|Zahnärzte München|Autohaus Müller|Stadtwerke Düsseldorf|Möbelhaus Nürnberg|Praxis Dr. Schäfer|"
        "Versicherung Zürich|Küchenstudio Lübeck|Fitness Görlitz|Werkstatt Wien",
        ", KW {n}| – Welle {n}|| (Pilot)| {n}. Charge",
        "Bestandskunden|Neukunden Süd|Österreich und Schweiz|Außendienst",
        "Jörg Weiß|Anneke Grünwald",
    ),
    _market(
        "fr 5 FR|BE|CH Europe/Paris|Europe/Brussels|Europe/Zurich +33199000",
        "{purpose} {team}",
        "Relance devis|Rappel rendez-vous|Enquête satisfaction|Reconquête clients|Impayés|Qualification prospects|"
        "Bienvenue abonnés|Journée portes ouvertes",
        "Cabinet Lefèvre|Énergie Liège|Crédit Besançon|Mutuelle Orléans|Garage Béziers|Clinique Sévigné|Agence Nîmes|"
        "Télécom Genève|Saint-Étienne",
        ", semaine {n}| – vague {n}|| (pilote)| lot {n}",
        "Fidélisation|Équipe Lyon|Belgique et Suisse|Prospection",
        "Hélène Garçon|François Noël",
    ),
    _market(
        "es 5 ES|MX|CO Europe/Madrid|America/Mexico_City|America/Bogota +34910550",
        "{purpose} {team}",
        "Recordatorio de citas|Renovación pólizas|Cobro amistoso|Encuesta de satisfacción|Recuperación clientes|"
        "Confirmación entregas|Captación|Bienvenida nuevos socios",
        "Clínica Peñalver|Seguros León|Energía Cádiz|Telefonía Bogotá|Autos Málaga|Gimnasio Logroño|Banca México|"
        "Óptica Córdoba|A Coruña",
        ", semana {n}| – oleada {n}|| (piloto)| lote {n}",
        "Fidelización|Atención al cliente|México|Colombia",
        "Begoña Muñoz|Íñigo Álvarez",
    ),
    _market(
        "pl 3 PL Europe/Warsaw +48225550",
        "{purpose} {team}",
        "Przypomnienia o wizytach|Przedłużenie umów|Ankieta zadowolenia|Zaległe płatności|Oddzwanianie|Dni otwarte|"
        "Powroty klientów",
        "Łódź|Kraków|Gdańsk|Poznań|Stomatologia Białystok|Energia Śląsk|Ubezpieczenia Wrocław|Salon Rzeszów",
        ", tydzień {n}| – tura {n}|| (pilotaż)",
        "Obsługa klienta|Sprzedaż Północ",
        "Małgorzata Wójcik|Łukasz Zając",
    ),
    _market(
        "tr 2 TR Europe/Istanbul +902125550",
        "{team} {purpose}",
        "randevu hatırlatma|sözleşme yenileme|memnuniyet anketi|geri arama|gecikmiş ödeme|müşteri geri kazanımı",
        "İstanbul Diş|İzmir Sigorta|Muğla Otel|Eskişehir Enerji|Diyarbakır Şube|Beşiktaş Optik|Çankaya Servis",
        ", {n}. hafta| – {n}. parti|| (deneme)",
        "Müşteri hizmetleri|Satış İstanbul",
        "Gülşen Yıldız|Çağrı Öztürk",
    ),
    _market(
        "vi 2 VN Asia/Ho_Chi_Minh +842455500",
        "{purpose} {team}",
        "Nhắc lịch hẹn|Gia hạn hợp đồng|Khảo sát hài lòng|Gọi lại khách hàng|Nhắc thanh toán|Xác nhận giao hàng",
        "Hà Nội|Đà Nẵng|TP Hồ Chí Minh|nha khoa Cần Thơ|bảo hiểm Hải Phòng|điện lực Huế|viễn thông Nha Trang",
        ", tuần {n}| – đợt {n}|| (thử nghiệm)",
        "Chăm sóc khách hàng|Kinh doanh miền Nam",
        "Nguyễn Thị Hạnh|Trần Đức Dũng",
    ),
    _market(
        "ru 3 KZ|RU|UZ Asia/Almaty|Europe/Moscow|Asia/Novosibirsk|Asia/Tashkent +74955550",
        "{purpose} {team}",
        "Повторные звонки|Напоминание о визите|Продление договоров|Опрос клиентов|Возврат клиентов|"
        "Просроченные платежи|Подтверждение доставки",
        "Казань|Алматы|Новосибирск|стоматология Самара|энергосбыт Уфа|страхование Пермь|автосалон Томск|фитнес Ташкент",
        ", неделя {n}| – волна {n}|| (пилот)",
        "Удержание|Центральная Азия|Партнёры",
        "Елена Щербакова|Фёдор Ильин",
    ),
    _market(
        "el 1 GR|CY Europe/Athens|Asia/Nicosia +302105550",
        "{purpose} {team}",
        "Υπενθύμιση ραντεβού|Ανανέωση συμβολαίων|Έρευνα ικανοποίησης|Επανακλήσεις|Ληξιπρόθεσμες οφειλές",
        "Αθήνα|Θεσσαλονίκη|Πάτρα|οδοντιατρείο Ηράκλειο|ενέργεια Λάρισα|ασφάλειες Λευκωσία",
        ", εβδομάδα {n}| – κύμα {n}|| (πιλοτικό)",
        "Εξυπηρέτηση πελατών",
        "Ελένη Παπαδοπούλου|Γιώργος Νικολάου",
    ),
    _market(
        "ar 3 AE|SA|EG Asia/Dubai|Asia/Riyadh|Africa/Cairo +97145550",
        "{purpose} {team}",
        "تذكير بالمواعيد|تجديد العقود|استطلاع رضا العملاء|معاودة الاتصال|متابعة عروض الأسعار|تحصيل المدفوعات",
        "دبي|الرياض|القاهرة|عيادة الأسنان جدة|تأمين الدوحة|كهرباء عمّان|سيارات الكويت",
        "، الأسبوع {n}| – دفعة {n}|| (تجريبي)",
        "خدمة العملاء|الخليج|مصر",
        "ليلى حدّاد|عمر الشريف",
    ),
    _market(
        "he 1 IL Asia/Jerusalem +97235550",
        "{purpose} {team}",
        "תזכורת תורים|חידוש חוזים|סקר שביעות רצון|שיחות חוזרות|גביית חובות",
        "תל אביב|חיפה|ירושלים|מרפאת שיניים רעננה|ביטוח אשדוד|אנרגיה באר שבע",
        ", שבוע {n}| – סבב {n}|| (פיילוט)",
        "שירות לקוחות",
        "נועה לוי|איתן מזרחי",
    ),
    _market(
        "hi 2 IN Asia/Kolkata +911155500",
        "{team} {purpose}",
        "अपॉइंटमेंट अनुस्मारक|अनुबंध नवीनीकरण|ग्राहक संतुष्टि सर्वे|दोबारा कॉल|बकाया भुगतान|डिलीवरी पुष्टि",
        "दिल्ली|मुंबई|लखनऊ|दंत चिकित्सालय जयपुर|बीमा पटना|बिजली भोपाल|दूरसंचार इंदौर",
        ", सप्ताह {n}| – चरण {n}|| (पायलट)",
        "ग्राहक सेवा|उत्तर भारत",
        "प्रिया शर्मा|अर्जुन वर्मा",
    ),
    _market(
        "th 1 TH Asia/Bangkok +66255500",
        "{purpose} {team}",
        "เตือนนัดหมาย|ต่ออายุสัญญา|สำรวจความพึงพอใจ|โทรกลับลูกค้า|ติดตามการชำระเงิน",
        "กรุงเทพ|เชียงใหม่|ภูเก็ต|คลินิกทันตกรรมขอนแก่น|ประกันภัยหาดใหญ่|รถยนต์ชลบุรี",
        " สัปดาห์ {n}| รอบ {n}|| (ทดลอง)",
        "ลูกค้าสัมพันธ์",
        "สมหญิง ใจดี|ณัฐพล ศรีสุข",
    ),
    _market(
        "zh-CN 3 CN|HK|TW Asia/Shanghai|Asia/Hong_Kong|Asia/Taipei +861055550",
        "{purpose} {team}",
        "春季续约|预约提醒|满意度回访|欠费提醒|老客户召回|新客户欢迎|送货确认",
        "上海|北京|深圳|杭州口腔|成都保险|广州电力|臺北電信|香港地產",
        " 第{n}周| 第{n}批|| (试点)",
        "客户服务|华南|港台",
        "王丽|陳志明",
    ),
    _market(
        "ja 3 JP Asia/Tokyo +81355500",
        "{purpose} {team}",
        "予約リマインド|契約更新|満足度アンケート|折り返し電話|未払いのご案内|休眠顧客の掘り起こし",
        "東京|大阪|福岡|札幌歯科|名古屋保険|横浜電力|京都不動産|仙台モータース",
        " 第{n}週| 第{n}弾|| (試行)",
        "既存顧客|西日本|新規開拓",
        "佐藤 美咲|髙橋 健",
    ),
    _market(
        "ko 1 KR Asia/Seoul +82255500",
        "{team} {purpose}",
        "예약 알림|계약 갱신|만족도 조사|재통화|연체 안내",
        "서울|부산|대구|인천 치과|광주 보험|대전 전력|제주 렌터카",
        " {n}주차| {n}차|| (시범)",
        "고객 지원",
        "김지은|이준호",
    ),
)

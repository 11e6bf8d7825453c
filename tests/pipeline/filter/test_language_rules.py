"""The same article meets the same fate in scripts with and without spaces; what nobody wants is still dropped."""

import pyarrow as pa
import pytest

from pipeline.filter.rules.measure import measure
from pipeline.filter.rules.predicates import judge_columns
from pipeline.recipe.filter_options import Filter
from pipeline.recipe.language_codes import LABELS
from pipeline.recipe.language_rules import language_rules
from pipeline.recipe.rule_sets import RULE_SETS

ARTICLES = {
    "en": [
        "Many people had gathered by the river that morning, although the fog was still thick.",
        "The old ferryman untied the rope and pushed his boat slowly into the grey water.",
        "His granddaughter held the lantern, because nobody could see the opposite bank yet.",
        "They carried salt, cloth and two letters that the baker had written during the night.",
        "Halfway across the wind changed, and the boat began to drift towards the broken bridge.",
    ],
    "zh": [
        "那天早晨雾还很浓，河边却已经聚集了许多人。",
        "年老的船夫解开绳子，把小船慢慢推进灰色的水里。",
        "他的孙女举着灯笼，因为谁也看不见对岸在哪里。",
        "船上装着食盐、布匹，还有面包师连夜写好的两封信。",
        "划到一半时风向忽然变了，小船开始朝断桥漂去。",
    ],
    "ja": [
        "その朝は霧がまだ深かったが、川辺には大勢の人が集まっていた。",
        "年老いた船頭は綱をほどき、灰色の水へゆっくりと舟を押し出した。",
        "向こう岸がだれにも見えないので、孫娘が提灯を高く掲げた。",
        "荷物は塩と布、それにパン屋が夜通しで書いた二通の手紙だった。",
        "半分ほど進んだところで風向きが変わり、舟は壊れた橋の方へ流されはじめた。",
    ],
    "th": [
        "เช้าวันนั้นหมอกยังหนาอยู่แต่มีคนมากมายมารวมกันที่ริมแม่น้ำ",
        "คนแจวเรือชราแก้เชือกแล้วค่อยดันเรือลงไปในน้ำสีเทา",
        "หลานสาวถือโคมไฟเพราะไม่มีใครมองเห็นฝั่งตรงข้าม",
        "พวกเขาบรรทุกเกลือ ผ้า และจดหมายสองฉบับที่คนทำขนมปังเขียนตลอดคืน",
        "พอไปได้ครึ่งทางลมก็เปลี่ยนทิศ เรือเริ่มลอยไปทางสะพานที่หัก",
    ],
    "ko": [
        "그날 아침에는 안개가 아직 짙었지만 강가에 많은 사람이 모여 있었다.",
        "늙은 뱃사공은 밧줄을 풀고 잿빛 물속으로 배를 천천히 밀어 넣었다.",
        "건너편 둑이 아무에게도 보이지 않아서 손녀가 등불을 들고 있었다.",
        "짐은 소금과 옷감, 그리고 빵집 주인이 밤새 쓴 편지 두 통이었다.",
        "절반쯤 건넜을 때 바람이 바뀌어 배가 부서진 다리 쪽으로 떠내려갔다.",
        "소녀는 긴 장대를 찾아 온 힘을 다해 뱃머리를 바위에서 떼어 놓았다.",
    ],
}


def reasons(language: str, text: str, options: Filter) -> list[str]:
    """The rules that a text fails under the recipe's section."""
    languages = pa.array([language])
    signals = measure([text], languages)
    columns = pa.chunked_array([languages])
    failures = judge_columns(signals, options.rules, options.thresholds(), options.by_language(), columns)
    return list(failures.lists().to_pylist()[0])


@pytest.mark.parametrize("language", sorted(ARTICLES))
def test_an_article_passes_in_each_language(language: str) -> None:
    assert reasons(language, "\n".join(ARTICLES[language]), Filter()) == []


def test_without_the_table_the_published_thresholds_judge_all() -> None:
    options = Filter(language_rules=False)
    assert "gopher_quality.min_mean_word_length" in reasons("zh", "\n".join(ARTICLES["zh"]), options)


@pytest.mark.parametrize(
    ("language", "text"),
    [("zh", "哈哈哈哈" * 60), ("zh", "快来买吧！" * 60), ("th", "ซื้อเลยวันนี้ " * 60), ("zh", "太短了。")],
)
def test_what_nobody_wants_is_still_dropped(language: str, text: str) -> None:
    assert reasons(language, text, Filter())


def test_the_recipe_s_own_thresholds_go_before_the_table() -> None:
    everywhere = Filter(gopher_quality={"min_mean_word_length": 2})
    assert reasons("zh", "\n".join(ARTICLES["zh"]), everywhere) == ["gopher_quality.min_mean_word_length"]
    of_chinese = Filter(per_language={"zh": {"gopher_quality": {"min_words": 10_000}}})
    assert reasons("zh", "\n".join(ARTICLES["zh"]), of_chinese) == ["gopher_quality.min_words"]


def test_the_table_names_rules_and_labels_that_exist_and_leaves_english_alone() -> None:
    table = language_rules()
    assert set(table) <= LABELS - {"en"}
    for rule_sets in table.values():
        for rule_set, rules in rule_sets.items():
            assert set(rules) <= {rule.name for rule in RULE_SETS[rule_set]}

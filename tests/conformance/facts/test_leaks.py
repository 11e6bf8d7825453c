"""The reader of gitleaks' rules, tried on a rule."""

import random

import pytest

from tests.conformance.facts.go_strings import Case, NotUnderstoodError, Reader, sampled, tokens
from tests.conformance.facts.leaks import _calls, _is_found, _rules

UTILS = """
func Hex(size string) string {
	return fmt.Sprintf(`[a-f0-9]{%s}`, size)
}
func GenerateSampleSecrets(identifier string, secret string) []string {
	samples := map[string]string{
		// a comment: "{i}"
		"ini": "{i}Token=\\"{s}\\"",
		"xml": `<{I}>{s}</{I}>`,
	}
"""
RULE = """
func Key() *config.Rule {
	r := config.Rule{
		RuleID:   "glrt",
		Keywords: []string{
			"glrt-",
			"glrtr-",
		},
		Entropy: 3,
	}
	tps := utils.GenerateSampleSecrets("lab", "glrt-"+secrets.NewSecret(utils.Hex("20")))
	tps = append(tps, // "no example"
		`key = "a"`, fmt.Sprintf("50% of %s", "b"),
	)
	fps := []string{"glrt-\\"x\\"",}
	return utils.Validate(r, tps, fps)
}
"""


def test_examples_of_a_rule_are_read_with_the_keys_made_by_chance() -> None:
    folder = "cmd/generate/config/"
    ((name, keywords, right, wrong),) = _rules({f"{folder}utils/a.go": UTILS, f"{folder}rules/b.go": RULE})
    assert (name, keywords) == ("glrt", ["glrt-", "glrtr-"])
    key = right[0].secret
    assert key is not None
    assert len(key) == 25
    assert [case.text for case in right] == [f'labToken="{key}"', f"<LAB>{key}</LAB>", 'key = "a"', "50% of b"]
    assert wrong == [Case('glrt-"x"')]
    assert list(_is_found(right)) == [True, True, False, False]


def test_key_is_found_only_whole() -> None:
    key = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
    longer = f"{key} and much more"
    assert list(_is_found([Case(key, key), Case(key), Case(longer, longer)])) == [True, True, False]


def test_pattern_of_another_kind_is_not_sampled() -> None:
    assert set(sampled(r"\w[\w-]{30}", random.Random(0))) <= set("abcdefghijklmnopqrstuvwxyz_-\\") | set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    )
    with pytest.raises(NotUnderstoodError):
        sampled("(a|b){3}", random.Random(0))


def test_what_is_not_understood_adds_nothing() -> None:
    reader = Reader(_calls({"cmd/generate/config/utils/a.go": UTILS}))
    read = tokens('tps := generated()\ntps = append(tps, "a"+"b")')
    assert dict(reader.lists(read, ("tps",))) == {"tps": [Case("ab")]}

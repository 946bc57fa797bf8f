import pytest

from bench import names
from bench.errors import InputError


@pytest.mark.parametrize("spelling", ["SRN-att", "srn-att", "srn_att", "Srn Att", "ResNet-SRN-att"])
def test_any_spelling_of_a_name_finds_the_method(spelling: str):
    assert names.find_method(spelling) == "srn_att"


def test_the_papers_name_of_srn_is_an_alias():
    assert names.find_method("ResNet-SRN") == "srn"


def test_a_wrong_name_lists_the_right_ones():
    with pytest.raises(InputError, match=r"unknown method 'snr'; choose from: .*resnet101.*srn_att"):
        names.find_method("snr")


def test_titles_are_those_of_the_papers_tables():
    titles = [names.title(name) for name in names.in_order()[:5]]
    assert titles == ["ResNet-101", "ResNet-107", "ResNet-101-semantic", "SRN-att", "SRN"]

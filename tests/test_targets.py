"""What a target leads to, and which entries of `probes.allow` let it."""

from __future__ import annotations

import pytest

from ml_exporter.config import from_data
from ml_exporter.errors import ConfigError
from ml_exporter.targets import LONGEST, AllowList, Verdict, destination

YES, NO, BY_ADDRESS = Verdict.YES, Verdict.NO, Verdict.BY_ADDRESS


def verdict(target: str, *allow: str) -> Verdict:
    return AllowList(allow).verdict(destination(target))


@pytest.mark.parametrize(
    ("target", "url", "shown"),
    [
        ("http://model:8000", "http://model:8000", "model:8000"),
        ("HTTPS://Model.Example./v1/", "https://model.example/v1", "model.example:443"),
        ("http://bücher.example", "http://xn--bcher-kva.example", "xn--bcher-kva.example:80"),
        ("http://my_model", "http://my_model", "my_model:80"),
        ("http://10.0.0.5:8000/a/../b", "http://10.0.0.5:8000/b", "10.0.0.5:8000"),
        ("http://[2001:DB8::0:5]:8000", "http://[2001:db8::5]:8000", "[2001:db8::5]:8000"),
    ],
)
def test_a_target_has_one_spelling_which_is_what_is_connected_to(target: str, url: str, shown: str) -> None:
    found = destination(target)
    assert (found.url, found.shown) == (url, shown)


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1",
        "http://127.0.0.1./",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:ffff:127.0.0.1]/",
        "http://127.0.0.1．/",
        "http://127。0。0。1/",
        "http://①②⑦.⓪.⓪.①/",
    ],
)
def test_every_spelling_of_an_address_that_is_taken_is_that_address(target: str) -> None:
    assert destination(target).shown == "127.0.0.1:80"
    assert verdict(target, "127.0.0.0/8") is YES
    assert verdict(target, "10.0.0.0/8", "127.0.0.1:81", "localhost", "*.example", "f*", "::1", "::/0") is NO


@pytest.mark.parametrize(
    "target",
    [
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0x7f000001/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://127.0.0.0x1/",
        "http://127.0.0.1.1/",
        "http://0/",
        "http://1.2.3.08/",
        "http://%31%32%37.0.0.1/",
        "http://١٢٧.0.0.1/",
        "http://[::1%25lo]/",
        "http://[fe80::1%eth0]/",
        "http://[::1/",
        "http://[localhost]/",
        "http://local%68ost/",
        "http://a..b/",
        "http://-a/",
        f"http://{'a' * 64}/",
        f"http://{'a.' * 127}a/",
        "http://h:0/",
        "http://h:65536/",
        "http://h:8x/",
        "http://:80/",
        "http:///x",
        "http://",
        "http://h\\@127.0.0.1/",
        "http://user@h/",
        "http://user:pa55@h/",
        "http://@h/",
        "http://h/#top",
        "http://h/?q=1",
        "http://h?",
        "http://h /",
        "http://h/\r\nX-Evil: 1",
        "http://h/\u200b",
        "h:8000",
        "//h",
        "ftp://h",
        "file:///etc/passwd",
        "unix:///run/docker.sock",
        "",
        f"http://h/{'a' * LONGEST}",
    ],
)
def test_what_is_no_plain_web_address_is_refused(target: str) -> None:
    with pytest.raises(ConfigError, match=r"^target: ") as caught:
        destination(target)
    assert "pa55" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("target", "allow", "expected"),
    [
        ("http://model:8000", (), NO),
        ("http://model:8000", ("model",), YES),
        ("http://model:8000", ("model:8000",), YES),
        ("http://model:8001", ("model:8000",), NO),
        ("http://model", ("model:80",), YES),
        ("https://model", ("model:80",), NO),
        ("http://MODEL.", ("Model",), YES),
        ("http://model.evil.example", ("model",), NO),
        ("http://evil-model", ("model",), NO),
        ("http://a.models.svc:8000", ("*.models.svc",), YES),
        ("http://a.models.svc:8000", ("*.models.svc:9000", "a?models.svc:8000"), YES),
        ("http://models.svc", ("*.models.svc",), NO),
        ("http://xn--bcher-kva.example", ("bücher.example",), YES),
        ("http://bücher.example", ("xn--bcher-kva.example",), YES),
        ("http://model", ("*",), YES),
        ("http://169.254.169.254", ("*",), YES),
        ("http://169.254.169.254", ("*:8000",), NO),
        ("http://[fd00::1]", ("f*", "fd00*", "fd*", "*-1"), NO),
        ("http://10.0.0.5", ("10.0.0.5",), YES),
        ("http://10.0.0.5:8000", ("10.0.0.5:8001",), NO),
        ("http://[::ffff:10.0.0.5]", ("10.0.0.5",), YES),
        ("http://10.0.0.5", ("::ffff:10.0.0.5",), YES),
        ("http://[::1]:8000", ("[::1]:8000",), YES),
        ("http://[::1]:8000", ("::1",), YES),
        ("http://[::1]", ("127.0.0.0/8", "localhost"), NO),
        ("http://[::127.0.0.1]", ("127.0.0.0/8",), NO),
        ("http://0.0.0.0", ("127.0.0.0/8", "localhost"), NO),
        ("http://[::]", ("127.0.0.0/8", "::1/128"), NO),
        ("http://10.1.2.3", ("10.0.0.0/8",), YES),
        ("http://11.1.2.3", ("10.0.0.0/8",), NO),
        ("http://[2001:db8::5]", ("2001:db8::/32",), YES),
        ("http://localhost", ("127.0.0.1", "[::1]"), NO),
        ("http://localhost", ("127.0.0.0/8",), BY_ADDRESS),
        ("http://anything.example", ("10.0.0.0/8", "model"), BY_ADDRESS),
    ],
)
def test_what_is_allowed_is_exactly_what_is_listed(target: str, allow: tuple[str, ...], expected: Verdict) -> None:
    assert verdict(target, *allow) is expected


def test_an_address_that_a_name_leads_to_is_looked_for_in_the_networks_alone() -> None:
    allowed = AllowList(["10.0.0.0/8", "2001:db8::/32", "127.0.0.1", "*"])
    assert [allowed.contains(a) for a in ("10.9.9.9", "2001:db8::1", "::ffff:10.9.9.9")] == [True] * 3
    assert [allowed.contains(a) for a in ("127.0.0.1", "::1", "fe80::1%eth0", "nonsense")] == [False] * 4


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("http://model:8000", "network"),
        ("model:port", "none of these"),
        ("model:0", "port 0"),
        ("model:70000", "port 70000"),
        ("", "none of these"),
        ("user@model", "none of these"),
        ("[ab].example", "none of these"),
        ("10.0.0.1/8", "host bits"),
        ("10.0.0.0/8:80", "network"),
        ("::ffff:10.0.0.0/104", "IPv4"),
        ("10.*", "write a network"),
        ("*.0.0.1", "write a network"),
        ("0x7f.1", "4 octets"),
        ("bü*.example", "ASCII"),
        ("mo del", "none of these"),
    ],
)
def test_an_entry_that_could_be_misunderstood_is_refused(entry: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_data({"probes": {"allow": ["fine", entry]}})
    assert str(caught.value).startswith(f"probes.allow[1]: found '{entry}'; allowed is host, host:port")
    assert said in str(caught.value)

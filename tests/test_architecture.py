"""Which way imports run, who reaches the network, and that each error code means one thing."""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import django_ory_logout
from django_ory_logout import exceptions
from django_ory_logout.exceptions import (
    ChallengeHandled,
    HydraError,
    InvalidMessage,
    KratosError,
    LoggedOutMeanwhile,
    OryLogoutError,
    SecondFactorRequired,
    SetupError,
    SignInRefused,
    TemporaryError,
)

PACKAGE = Path(django_ory_logout.__file__).parent
ERRORS_PAGE = PACKAGE.parent / "docs" / "reference" / "errors.md"

#: The rooms, the lowest first. Each imports from those below it, and from itself.
LAYERS = [
    {"exceptions", "fields", "signals", "strict_json"},
    {"cache", "database", "http", "models", "migrations"},
    {"oidc", "users"},
    {"ory"},
    {"conf"},
    {"backends", "sessions"},
    {"flows", "force"},
    {"admin", "doctor", "kratos"},
    {"management", "templatetags", "views"},
    {"middleware"},
    {"checks"},
    {"apps", "hydra_ui", "urls"},
]
#: The same inside a room.
INSIDE = {
    "oidc": [{"metadata"}, {"messages", "tokens"}, {"provider"}],
    "sessions": [
        {"engines", "events", "receipts", "stored_login"},
        {"token_revocation"},
        {"index"},
        {"ending"},
        {"store"},
        {"opening"},
    ],
    "conf": [{"setting"}, {"rules"}, {"lookup"}],
    "flows": [{"client_registration", "logout", "notices"}, {"login"}],
    "views": [
        {"errors", "requests"},
        {"cookies", "csrf", "responses", "unconfirmed"},
        {"decorators"},
        {"kratos_login"},
        {"kratos", "login", "logout", "notices", "sessions"},
    ],
}

#: What opens a connection, or could.
NETWORK = {"aiohttp", "http.client", "httpx", "requests", "socket", "urllib.request", "urllib3"}
#: What only reads.
HARMLESS = {"requests.utils.parse_header_links"}
DOOR = "http"

#: All that the protocol's room may import: none of them knows models, settings or requests.
BELOW_OIDC = {"cache", "exceptions", "http", "strict_json"}

#: The status that each class of error is answered with: where a message comes from, this is what it means there.
ANSWERS = {
    InvalidMessage: 400,
    SignInRefused: 403,
    LoggedOutMeanwhile: 409,
    TemporaryError: 503,
    SetupError: 500,
    HydraError: None,
    KratosError: None,
}


# Reading the code


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its name below the package; the package itself is ``""``."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = ast.parse(path.read_text())
    return found


def is_package(name: str) -> bool:
    return (PACKAGE.joinpath(*name.split(".")) / "__init__.py").exists()


def imported(name: str) -> set[str]:
    """What module ``name`` imports, at its top or anywhere else, by absolute names."""
    home = [PACKAGE.name, *filter(None, name.split("."))]
    if not is_package(name):
        home.pop()
    found = set()
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            start = home[: len(home) + 1 - node.level] if node.level else []
            base = ".".join([*start, *filter(None, [node.module])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def imported_here(name: str) -> set[str]:
    """The modules of this package that module ``name`` imports. A name in a module counts as that module."""
    found = set()
    for target in imported(name):
        here, _, rest = target.partition(".")
        if here == PACKAGE.name:
            found.add(rest if rest in modules() else rest.rpartition(".")[0])
    return found - {name, ""}


def room(name: str) -> str:
    return name.partition(".")[0]


def rooms() -> list[str]:
    """Every module but those of the testing provider, which stand beside the house."""
    return [name for name in modules() if name and room(name) != "testing"]


def level(name: str, layers: list[set[str]]) -> int:
    """The number of the layer that ``name`` stands in; what stands in none is above them all."""
    return next((number for number, layer in enumerate(layers) if name in layer), len(layers))


# Imports


def test_the_reader_of_imports_reads() -> None:
    assert imported_here("oidc.provider") == {
        "exceptions",
        "cache",
        "http",
        "oidc.messages",
        "oidc.metadata",
        "oidc.tokens",
    }
    assert imported_here("apps") == {"checks", "sessions.store", "users"}
    assert {"requests", "urllib3.exceptions.HTTPError", "typing.Any"} <= imported(DOOR)


def test_every_module_has_its_room() -> None:
    assert {room(name) for name in rooms()} == set().union(*LAYERS)
    for package, layers in INSIDE.items():
        inside = {name for name in modules() if room(name) == package != name}
        assert inside == {f"{package}.{name}" for name in set().union(*layers)}


@pytest.mark.parametrize("name", rooms())
def test_imports_run_downward(name: str) -> None:
    others = {room(target) for target in imported_here(name)} - {room(name)}

    assert {other for other in others if level(other, LAYERS) >= level(room(name), LAYERS)} == set()


@pytest.mark.parametrize(("package", "layers"), INSIDE.items())
def test_imports_inside_a_room_run_downward(package: str, layers: list[set[str]]) -> None:
    for name in modules():
        if room(name) == package != name:
            inside = {target for target in imported_here(name) if room(target) == package != target}
            own = level(name.removeprefix(f"{package}."), layers)
            assert {one for one in inside if level(one.removeprefix(f"{package}."), layers) >= own} == set(), name


def test_no_cycle() -> None:
    graph = {name: imported_here(name) for name in modules()}

    assert set(TopologicalSorter(graph).static_order()) == set(modules())


def test_protocol_room_knows_nothing_of_ours_but_the_errors() -> None:
    for name in rooms():
        if room(name) == "oidc":
            assert {room(target) for target in imported_here(name)} <= {
                "oidc",
                "cache",
                "exceptions",
                "http",
                "strict_json",
            }, name


def test_protocol_room_knows_no_models_settings_or_requests() -> None:
    of_django = {
        target
        for name in rooms()
        if room(name) in {"oidc", *BELOW_OIDC}
        for target in imported(name)
        if room(target) == "django"
    }

    # The cache is handed in. The decorator marks secrets in tracebacks, and asks nothing of Django.
    assert of_django <= {
        "django.core.cache.backends.base.BaseCache",
        "django.views.decorators.debug.sensitive_variables",
    }


def test_nothing_imports_the_testing_provider() -> None:
    assert [name for name in rooms() if "testing" in map(room, imported_here(name))] == []


def test_testing_provider_shares_no_code_with_what_it_tests() -> None:
    for name in modules():
        if room(name) == "testing":
            assert set(map(room, imported_here(name))) <= {"testing"}, name


def test_one_door_to_the_network() -> None:
    def reaches(name: str) -> bool:
        return any(f"{target}.".startswith(f"{way}.") for target in imported(name) - HARMLESS for way in NETWORK)

    assert [name for name in rooms() if reaches(name)] == [DOOR]


def test_one_reader_of_json() -> None:
    """Nesting, encodings and members are checked before any parser: nobody else has one."""
    parsers = {"json.load", "json.loads", "json.JSONDecoder", "joserfc.util.json_b64decode"}

    def reads(name: str) -> bool:
        attributes = {ast.unparse(node) for node in ast.walk(modules()[name]) if isinstance(node, ast.Attribute)}
        return bool(parsers & (imported(name) | attributes))

    assert [name for name in rooms() if reads(name)] == ["strict_json"]


# Error codes


ERROR_CLASSES = {
    name: kind for name, kind in vars(exceptions).items() if isinstance(kind, type) and issubclass(kind, OryLogoutError)
}


def raised_codes() -> dict[str, set[type[OryLogoutError]]]:
    """Each code that the package gives to an error, with the classes that carry it."""
    found: dict[str, set[type[OryLogoutError]]] = defaultdict(set)
    for name in rooms():
        for function in ast.walk(modules()[name]):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for kind, code in _codes_in(function, modules()[name]):
                    found[code].add(kind)
    return found


def _codes_in(function: ast.FunctionDef | ast.AsyncFunctionDef, module: ast.Module) -> Iterator[tuple[type, str]]:
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ERROR_CLASSES:
            if ERROR_CLASSES[call.func.id] in (ChallengeHandled, SecondFactorRequired):
                continue  # they give themselves their codes
            for code in _texts(call.args[0], function, module):
                yield ERROR_CLASSES[call.func.id], code


def _texts(node: ast.expr, function: ast.FunctionDef | ast.AsyncFunctionDef, module: ast.Module) -> Iterator[str]:
    """What ``node`` can be: a text, one of two, or a text with a parameter that every caller gives as a text."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from _texts(body, function, module)
            yield from _texts(orelse, function, module)
        case ast.JoinedStr(values=[ast.FormattedValue(value=ast.Name(id=parameter)), ast.Constant(value=str(ending))]):
            place = [argument.arg for argument in function.args.args].index(parameter)
            for call in ast.walk(module):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == function.name:
                    yield from (f"{text}{ending}" for text in _texts(call.args[place], function, module))
        case ast.Call(func=ast.Attribute(attr="get"), args=[_, default]):
            yield from _texts(default, function, module)
            yield from _in_tables(module)
        case ast.Subscript():
            yield from _in_tables(module)
        case _:
            raise AssertionError(f"a code that cannot be read: {ast.unparse(node)}")


def _in_tables(module: ast.Module) -> Iterator[str]:
    """What the module's tables of codes can give."""
    for table in module.body:
        if isinstance(table, ast.AnnAssign) and isinstance(table.value, ast.Dict):
            for key, value in zip(table.value.keys, table.value.values, strict=True):
                if key:  # a table inside a table has none, and is read by itself
                    yield ast.literal_eval(value)


def test_the_reader_of_codes_reads() -> None:
    codes = raised_codes()

    assert codes["sid_invalid"] == codes["exp_invalid"] == codes["aud_mismatch"] == {exceptions.InvalidToken}
    assert codes["logout_token_repeated"] == codes["logout_token_missing"] == {InvalidMessage}
    assert codes["cooling_down"] == {exceptions.ProviderUnavailable}
    assert codes["client_unknown"] == codes["hydra_refused"] == {HydraError}
    assert codes["return_to_refused"] == codes["session_inactive"] == {KratosError}
    assert len(codes) > 50


def test_codes_are_snake_case() -> None:
    assert [code for code in raised_codes() if not re.fullmatch(r"[a-z]+(_[a-z]+)*", code)] == []


def test_a_code_is_always_answered_alike() -> None:
    answers = {
        code: {next(ANSWERS[root] for root in kind.__mro__ if root in ANSWERS) for kind in kinds}
        for code, kinds in raised_codes().items()
    }

    assert {code: statuses for code, statuses in answers.items() if len(statuses) != 1} == {}


def documented_codes() -> list[tuple[str, str]]:
    """The codes that the reference explains, each with its section: it begins a row of a table there, in backticks."""
    sections = re.split(r"^## (.+)$", ERRORS_PAGE.read_text(), flags=re.MULTILINE)[1:]
    return [
        (heading, code)
        for heading, text in zip(sections[::2], sections[1::2], strict=True)
        for code in re.findall(r"^\| `([a-z_]+)`", text, re.MULTILINE)
    ]


def test_each_code_is_documented_once_in_the_section_of_its_class() -> None:
    raised = {(kind.__name__, code) for code, kinds in raised_codes().items() for kind in kinds}
    documented = Counter(row for row in documented_codes() if row[0] in ERROR_CLASSES)

    assert sorted(raised - set(documented)) == [], "raised, and not documented"
    assert sorted(set(documented) - raised) == [], "documented, and not raised"
    assert [row for row, times in documented.items() if times > 1] == []


def test_codes_of_the_log_alone_are_never_raised() -> None:
    in_the_log = [code for heading, code in documented_codes() if heading == "In the log only"]

    assert in_the_log
    assert set(in_the_log) & set(raised_codes()) == set()

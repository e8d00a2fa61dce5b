"""In which direction imports run, which module calls the network, and that each error code has one meaning."""

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

#: The packages, the lowest first. Each imports from those below it and from itself.
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
#: The layers inside a package.
INSIDE = {
    "oidc": [{"documents", "metadata"}, {"jose", "messages"}, {"tokens"}, {"provider"}],
    "sessions": [
        {"engines", "events", "receipts", "stored_login"},
        {"token_revocation"},
        {"index"},
        {"ending"},
        {"store"},
        {"opening"},
    ],
    "users": [{"fields", "refusals"}, {"creation", "usernames"}],
    "conf": [{"validation"}, {"settings"}, {"lookup"}],
    "flows": [{"client_registration", "logout", "notices"}, {"login"}],
    "views": [
        {"errors", "requests"},
        {"cookies", "csrf", "responses", "unconfirmed"},
        {"decorators"},
        {"kratos_login"},
        {"kratos", "login", "logout", "notices", "sessions"},
    ],
}

#: Modules that can open a connection.
NETWORK = {"aiohttp", "http.client", "httpx", "requests", "socket", "urllib.request", "urllib3"}
#: They open no connection. A cookie jar reads a ``Request``.
HARMLESS = {"requests.utils.parse_header_links", "urllib.request.Request"}
HTTP_MODULE = "http"

#: All that ``oidc/`` may import. None of these knows models, settings or requests.
BELOW_OIDC = {"cache", "exceptions", "http", "strict_json"}

#: The HTTP status of each error class. A message with that status always means this class.
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
    """Every module of the package, by its name inside the package. The package itself is ``""``."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = ast.parse(path.read_text())
    return found


def is_package(name: str) -> bool:
    return (PACKAGE.joinpath(*name.split(".")) / "__init__.py").exists()


def imported(name: str) -> set[str]:
    """The absolute names that module ``name`` imports, at its top or elsewhere."""
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


def package_of(name: str) -> str:
    return name.partition(".")[0]


def production_modules() -> list[str]:
    """Every module except those of the testing provider."""
    return [name for name in modules() if name and package_of(name) != "testing"]


def level(name: str, layers: list[set[str]]) -> int:
    """The number of the layer of ``name``. A name in no layer is above all layers."""
    return next((number for number, layer in enumerate(layers) if name in layer), len(layers))


# Imports


def test_the_import_reader_finds_imports() -> None:
    assert imported_here("oidc.provider") == {
        "exceptions",
        "cache",
        "http",
        "oidc.documents",
        "oidc.jose",
        "oidc.messages",
        "oidc.metadata",
        "oidc.tokens",
    }
    assert imported_here("apps") == {"checks", "sessions.store", "users.creation"}
    assert {"requests", "urllib3.exceptions.HTTPError", "typing.Any"} <= imported(HTTP_MODULE)


def test_every_module_belongs_to_a_layer() -> None:
    assert {package_of(name) for name in production_modules()} == set().union(*LAYERS)
    for package, layers in INSIDE.items():
        inside = {name for name in modules() if package_of(name) == package != name}
        assert inside == {f"{package}.{name}" for name in set().union(*layers)}


@pytest.mark.parametrize("name", production_modules())
def test_imports_run_downward(name: str) -> None:
    others = {package_of(target) for target in imported_here(name)} - {package_of(name)}

    assert {other for other in others if level(other, LAYERS) >= level(package_of(name), LAYERS)} == set()


@pytest.mark.parametrize(("package", "layers"), INSIDE.items())
def test_imports_inside_a_package_run_downward(package: str, layers: list[set[str]]) -> None:
    for name in modules():
        if package_of(name) == package != name:
            inside = {target for target in imported_here(name) if package_of(target) == package != target}
            own = level(name.removeprefix(f"{package}."), layers)
            assert {module for module in inside if level(module.removeprefix(f"{package}."), layers) >= own} == set(), (
                name
            )


def test_imports_have_no_cycle() -> None:
    graph = {name: imported_here(name) for name in modules()}

    assert set(TopologicalSorter(graph).static_order()) == set(modules())


def test_oidc_imports_only_errors_and_utilities() -> None:
    for name in production_modules():
        if package_of(name) == "oidc":
            assert {package_of(target) for target in imported_here(name)} <= {
                "oidc",
                "cache",
                "exceptions",
                "http",
                "strict_json",
            }, name


def test_oidc_imports_no_models_settings_or_requests() -> None:
    of_django = {
        target
        for name in production_modules()
        if package_of(name) in {"oidc", *BELOW_OIDC}
        for target in imported(name)
        if package_of(target) == "django"
    }

    # The cache is an argument. The decorator marks secrets in tracebacks, and calls nothing of Django.
    assert of_django <= {
        "django.core.cache.backends.base.BaseCache",
        "django.views.decorators.debug.sensitive_variables",
    }


def test_nothing_imports_the_testing_provider() -> None:
    assert [name for name in production_modules() if "testing" in map(package_of, imported_here(name))] == []


def test_the_testing_provider_shares_no_code_with_production() -> None:
    for name in modules():
        if package_of(name) == "testing":
            assert set(map(package_of, imported_here(name))) <= {"testing"}, name


def test_no_class_of_the_testing_provider_is_split_by_inheritance() -> None:
    """A base class has its only subclass in its own module. Otherwise, both are one class in two files."""
    homes: dict[str, str] = {}
    users = defaultdict(set)
    for name, tree in modules().items():
        for node in ast.walk(tree) if package_of(name) == "testing" else ():
            if isinstance(node, ast.ClassDef):
                homes[node.name] = name
                for base in node.bases:
                    users[ast.unparse(base)].add(name)

    assert [base for base, home in homes.items() if len(users[base]) == 1 and users[base] != {home}] == []


def test_one_module_calls_the_network() -> None:
    def reaches(name: str) -> bool:
        return any(f"{target}.".startswith(f"{way}.") for target in imported(name) - HARMLESS for way in NETWORK)

    assert [name for name in production_modules() if reaches(name)] == [HTTP_MODULE]


def test_one_module_parses_json() -> None:
    """It checks nesting, encodings and members before it parses, and no other module does that."""
    parsers = {"json.load", "json.loads", "json.JSONDecoder", "joserfc.util.json_b64decode"}

    def reads(name: str) -> bool:
        attributes = {ast.unparse(node) for node in ast.walk(modules()[name]) if isinstance(node, ast.Attribute)}
        return bool(parsers & (imported(name) | attributes))

    assert [name for name in production_modules() if reads(name)] == ["strict_json"]


# Error codes


ERROR_CLASSES = {
    name: kind for name, kind in vars(exceptions).items() if isinstance(kind, type) and issubclass(kind, OryLogoutError)
}


def raised_codes() -> dict[str, set[type[OryLogoutError]]]:
    """The codes of the package's errors, each with its error classes."""
    found: dict[str, set[type[OryLogoutError]]] = defaultdict(set)
    for name in production_modules():
        for function in ast.walk(modules()[name]):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for kind, code in _codes_in(function, modules()[name]):
                    found[code].add(kind)
    return found


def _codes_in(function: ast.FunctionDef | ast.AsyncFunctionDef, module: ast.Module) -> Iterator[tuple[type, str]]:
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ERROR_CLASSES:
            if ERROR_CLASSES[call.func.id] in (ChallengeHandled, SecondFactorRequired):
                continue  # they set their own codes
            for code in _texts(call.args[0], function, module):
                yield ERROR_CLASSES[call.func.id], code


def _texts(node: ast.expr, function: ast.FunctionDef | ast.AsyncFunctionDef, module: ast.Module) -> Iterator[str]:
    """The possible texts of ``node``: a text, one of two, or a parameter that every caller gives as a text."""
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
    """The codes in the module's tables."""
    for table in module.body:
        if isinstance(table, ast.AnnAssign) and isinstance(table.value, ast.Dict):
            for key, value in zip(table.value.keys, table.value.values, strict=True):
                if key:  # an inner table has no key, and is read separately
                    yield ast.literal_eval(value)


def test_the_code_reader_finds_codes() -> None:
    codes = raised_codes()

    assert codes["sid_invalid"] == codes["exp_invalid"] == codes["aud_mismatch"] == {exceptions.InvalidToken}
    assert codes["logout_token_repeated"] == codes["logout_token_missing"] == {InvalidMessage}
    assert codes["cooling_down"] == {exceptions.ProviderUnavailable}
    assert codes["client_unknown"] == codes["hydra_refused"] == {HydraError}
    assert codes["return_to_refused"] == codes["session_inactive"] == {KratosError}
    assert len(codes) > 50


def test_codes_are_snake_case() -> None:
    assert [code for code in raised_codes() if not re.fullmatch(r"[a-z]+(_[a-z]+)*", code)] == []


def test_a_code_has_always_the_same_status() -> None:
    answers = {
        code: {next(ANSWERS[root] for root in kind.__mro__ if root in ANSWERS) for kind in kinds}
        for code, kinds in raised_codes().items()
    }

    assert {code: statuses for code, statuses in answers.items() if len(statuses) != 1} == {}


def documented_codes() -> list[tuple[str, str]]:
    """The codes in the reference, each with its section. A code starts a table row there, in backticks."""
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


def test_codes_of_the_log_are_never_raised() -> None:
    in_the_log = [code for heading, code in documented_codes() if heading == "In the log only"]

    assert in_the_log
    assert set(in_the_log) & set(raised_codes()) == set()

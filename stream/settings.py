"""Settings: flags over environment (FORECART_NAME) over file (TOML) over defaults.

One flat, frozen table: each field has a unit in its name, a default, and a line of help that
`forecart worker --help`, the docs and the tests read. `load` raises SettingsError with one line.
"""

import dataclasses
import difflib
import hashlib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from stream.core.config import DAY_MS, HASH_KEY_OPEN, EngineConfig
from stream.security import PLAINTEXT, SECRETS, Security, SecurityError, secret_of

ENV_PREFIX = "FORECART_"
# Variables that are no setting: the file's name, and what docker-compose.yml asks for.
OTHERS = frozenset(
    {
        "SETTINGS", "GRAFANA_PORT", "PROMETHEUS_PORT", "KAFKA_PORT", "HTTP_PORT", "WORKER_CPUS",
        "WORKER_MEMORY", "KAFKA_CPUS", "KAFKA_MEMORY", "DEMO_RATE",
    }
)  # fmt: skip
FILE_DEFAULT = "forecart.toml"
PROVIDERS = ("require", "prefer", "cpu")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
NAME_OF_KIND = {int: "whole number", float: "number", str: "text", bool: "true or false"}
TOKEN_CHARS_MIN = 16
AGE_S_MAX = 1e9
COMMIT_SLACK_MS = 50  # what a prediction takes beside waiting for its commit


class SettingsError(ValueError):
    """A setting is unknown, unreadable, or contradicts another. The message is for the user."""


def _f(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


def _secret(text: str) -> Any:
    """Declare a setting that no repr shows; its name stands in SECRETS."""
    return field(default="", repr=False, metadata={"help": text})


def _state_home() -> str:
    return os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a deployment may set. Names are flags with dashes, FORECART_UPPER in the environment."""

    # Kafka
    broker: str = _f("", "host:port[,host:port] of Kafka; empty: the embedded one")
    topic_prefix: str = _f("", "put before every topic's name")
    group: str = _f("forecart", "consumer group and application id")
    partitions: int = _f(4, "partitions of a topic that `topics apply` creates")
    replication: int = _f(1, "replicas of a topic that `topics apply` creates")
    instance: int = _f(-1, "number of this worker, its static identity; -1: the lowest free")
    standby_replicas: int = _f(0, "workers beside the owner that keep a partition's state warm")
    state_dir: str = _f("", "folder for locks and the embedded broker; empty: the user's state dir")
    # Security
    security_protocol: str = _f(PLAINTEXT, "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")
    sasl_mechanism: str = _f("", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
    sasl_username: str = _f("", "who this is to Kafka")
    sasl_password: str = _secret("by environment or settings file only")
    sasl_password_file: str = _f("", "file that holds the password, instead of it")
    ssl_ca_file: str = _f("", "PEM of who is trusted; empty: what this machine trusts")
    ssl_certificate_file: str = _f("", "PEM of this client's certificate, with its chain")
    ssl_key_file: str = _f("", "PEM of its key")
    ssl_key_password: str = _secret("of a locked key; by environment or settings file only")
    erasure_key: str = _secret("of the hash by which erased users are known; same for all workers")
    erasure_key_file: str = _f("", "file that holds it, instead of it")
    bundle_public_key_file: str = _f("", "PEM, Ed25519; set: only bundles signed with it serve")
    # Order and buffers
    batch_events_max: int = _f(8192, "rows that one engine step takes at most")
    buffer_bytes_max: int = _f(32 << 20, "fetched, unapplied bytes per partition number")
    chunk_bytes_max: int = _f(2 << 20, "bytes fetched per partition and request")
    event_bytes_max: int = _f(1 << 20, "a larger value is a dead letter")
    fetch_wait_ms: int = _f(10, "pause before the next fetch when less than 64 KiB had come")
    merge_wait_ms: int = _f(5, "how long rows wait for a caught-up topic that is asked meanwhile")
    merge_hold_s: float = _f(10.0, "how long rows wait for a topic that is behind")
    catch_up_age_s: float = _f(0.0, "older rows predict each user's last in a batch; 0: never")
    # Commit
    guarantee: str = _f("exactly_once", "of outputs: exactly_once or at_least_once")
    commit_interval_ms: int = _f(500, "time from a commit to the next")
    latency_objective_ms: int = _f(1000, "SLO: 99 % of predictions are committed within it")
    commit_events_max: int = _f(100_000, "rows in a transaction at most")
    commit_bytes_max: int = _f(64 << 20, "bytes produced in a transaction at most, about")
    batch_deadline_s: float = _f(4.0, "an engine step that takes longer stops the worker")
    commit_deadline_s: float = _f(8.0, "a commit that takes longer stops the worker")
    transaction_timeout_s: float = _f(10.0, "after which the broker aborts a transaction")
    session_timeout_s: float = _f(15.0, "without heartbeat, until the group gives partitions away")
    rebalance_timeout_s: float = _f(60.0, "a worker may take to hand its partitions over")
    # State
    window_steps: int = _f(32, "W: steps kept per user")
    users_max: int = _f(500_000, "users per partition; beyond it the least active is evicted")
    hidden_users_max: int = _f(100_000, "users per partition whose LSTM state is kept warm")
    user_ttl_days: float = _f(90.0, "shop time without activity until a user is dropped")
    # Events
    skew_ms_max: int = _f(86_400_000, "largest clock skew of a client that is corrected")
    future_ms_max: int = _f(300_000, "an event further ahead of its record is from_future")
    watermark_jump_ms_max: int = _f(2 * DAY_MS, "a larger jump waits for three users")
    source_gap_ms_max: int = _f(3_600_000, "one advance adds at most this to shop time")
    bucket_ms: int = _f(3_600_000, "shop time between churn sweeps")
    dead_letter_bytes_max: int = _f(1 << 20, "a longer original is cut, and marked so")
    dead_letters_per_minute_max: int = _f(60_000, "above it the partition is slowed down")
    quarantine_max: int = _f(10, "rows an hour and partition may be set aside, else stop")
    # Churn
    churn_enter: float = _f(0.70, "an alert fires from this churn probability")
    churn_leave: float = _f(0.50, "a user may fire again once at or below this")
    churn_high: float = _f(0.90, "level high_risk from this")
    churn_horizon_days: float = _f(7.0, "silence that counts as churn")
    churn_events_min: int = _f(5, "steps below which a user has no churn score")
    # Model
    bundle: str = _f("", "folder of the model bundle; empty: the one that is shipped")
    models_folder: str = _f("", "bundles in folders by version; empty: models in the state dir")
    model_name: str = _f("main", "key in model-control whose record these workers follow")
    model_warm_ms: float = _f(10.0, "rebuilding for a new model between two batches, about")
    model_warm_share: float = _f(0.9, "of a batch's users: so many warm, the new model serves")
    model_warm_s_max: float = _f(60.0, "after which the new model serves, warm or not")
    model_shadow_share: float = _f(0.1, "of batches that a shadow model scores too")
    provider: str = _f("prefer", "of ONNX Runtime: require (CUDA), prefer (CUDA) or cpu")
    items_top: int = _f(10, "items in a prediction; 0: none (profile step)")
    exclude_recent: bool = _f(True, "leave the user's own recent items out of the list")
    # Operation
    web_port: int = _f(6066, "of the live page, /metrics, /healthz; 0: a free one; -1: none")
    web_bind: str = _f("127.0.0.1", "address that the web server listens on")
    web_token: str = _secret("with it the live page shows users; by environment or file only")
    web_token_file: str = _f("", "file that holds it, instead of it")
    log_level: str = _f("INFO", "DEBUG, INFO, WARNING or ERROR")
    log_format: str = _f("human", "human, or json: an object a line")

    def __post_init__(self) -> None:
        """Check ranges and the relations between limits."""
        rules = (
            (
                self.guarantee in {"exactly_once", "at_least_once"},
                "guarantee is exactly_once or at_least_once",
            ),
            (self.provider in PROVIDERS, f"provider is one of {', '.join(PROVIDERS)}"),
            (self.log_level in LOG_LEVELS, f"log_level is one of {', '.join(LOG_LEVELS)}"),
            (self.log_format in {"human", "json"}, "log_format is human or json"),
            (self.partitions >= 1, "partitions >= 1"),
            (self.replication >= 1, "replication >= 1"),
            (self.instance >= -1, "instance >= -1"),
            (1 <= self.batch_events_max <= 65_536, "1 <= batch_events_max <= 65536"),
            (
                self.event_bytes_max <= self.chunk_bytes_max <= self.buffer_bytes_max,
                "event_bytes_max <= chunk_bytes_max <= buffer_bytes_max",
            ),
            (self.commit_interval_ms >= 10, "commit_interval_ms >= 10"),
            (
                self.latency_objective_ms > self.commit_interval_ms + COMMIT_SLACK_MS,
                f"latency_objective_ms > commit_interval_ms + {COMMIT_SLACK_MS}",
            ),
            (  # else rows that are in time would be left out
                self.catch_up_age_s == 0
                or self.latency_objective_ms / 1000 < self.catch_up_age_s <= AGE_S_MAX,
                f"catch_up_age_s is 0, or above latency_objective_ms / 1000, up to {AGE_S_MAX:g}",
            ),
            (  # at low rates every event waits for it
                0 <= self.fetch_wait_ms < self.latency_objective_ms - self.commit_interval_ms,
                "0 <= fetch_wait_ms < latency_objective_ms - commit_interval_ms",
            ),
            (
                self.batch_events_max <= self.commit_events_max,
                "batch_events_max <= commit_events_max",
            ),
            (
                0
                < self.batch_deadline_s
                < self.commit_deadline_s
                < self.transaction_timeout_s
                < self.session_timeout_s,
                "batch_deadline_s < commit_deadline_s < transaction_timeout_s < session_timeout_s",
            ),
            (
                self.session_timeout_s < self.rebalance_timeout_s,
                "session_timeout_s < rebalance_timeout_s",
            ),
            (self.quarantine_max >= 0, "quarantine_max >= 0"),
            (0 <= self.items_top <= 100, "0 <= items_top <= 100"),
            (bool(self.model_name), "model_name is not empty"),
            (0 < self.model_warm_ms <= 1000, "0 < model_warm_ms <= 1000"),
            (0 <= self.model_warm_share <= 1, "0 <= model_warm_share <= 1"),
            (self.model_warm_s_max >= 0, "model_warm_s_max >= 0"),
            (0 <= self.model_shadow_share <= 1, "0 <= model_shadow_share <= 1"),
            (-1 <= self.web_port <= 65_535, "-1 <= web_port <= 65535"),
        )
        for holds, rule in rules:
            if not holds:
                raise SettingsError(f"{self._values_in(rule)}: must hold: {rule}")
        if self.security.protocol != PLAINTEXT and not self.broker:
            raise SettingsError(
                f"security_protocol={self.security_protocol} needs `broker`: the embedded one"
                " listens on this machine alone and asks for nothing"
            )
        _ = self.hash_key  # its file must be there
        if 0 < len(self.token) < TOKEN_CHARS_MIN:
            raise SettingsError(f"web_token must have {TOKEN_CHARS_MIN} characters or more")

    def _values_in(self, rule: str) -> str:
        """Write what a rule speaks of as it is, so that the one that was set is seen."""
        defaults = {f.name: f.default for f in dataclasses.fields(self)}
        said = []
        for name in dict.fromkeys(re.findall(r"[a-z_]+", rule)):
            if name in defaults:
                value = getattr(self, name)
                by_default = " (default)" if value == defaults[name] else ""
                said.append(f"{name}={value!r}{by_default}")
        return ", ".join(said)

    def topic(self, name: str) -> str:
        """Name of a topic on the broker."""
        return self.topic_prefix + name

    @property
    def security(self) -> Security:
        """How to get into Kafka. Raises SettingsError."""
        try:
            return Security(
                protocol=self.security_protocol,
                mechanism=self.sasl_mechanism,
                username=self.sasl_username,
                password=secret_of("sasl_password", self.sasl_password, self.sasl_password_file),
                ca_file=self.ssl_ca_file,
                certificate_file=self.ssl_certificate_file,
                key_file=self.ssl_key_file,
                key_password=self.ssl_key_password,
            )
        except SecurityError as error:
            raise SettingsError(str(error)) from error

    @property
    def hash_key(self) -> bytes:
        """Key of the hash by which erased users are known; at most 64 bytes."""
        try:
            text = secret_of("erasure_key", self.erasure_key, self.erasure_key_file)
        except SecurityError as error:
            raise SettingsError(str(error)) from error
        return hashlib.blake2b(text.encode()).digest() if text else HASH_KEY_OPEN

    @property
    def token(self) -> str:
        """What opens users' data on the live page; empty: nothing does."""
        try:
            return secret_of("web_token", self.web_token, self.web_token_file)
        except SecurityError as error:
            raise SettingsError(str(error)) from error

    @property
    def state_path(self) -> Path:
        """Folder for locks and the embedded broker."""
        return Path(self.state_dir or Path(_state_home()) / "forecart")

    @property
    def models_path(self) -> Path:
        """Folder of bundles by version."""
        return Path(self.models_folder) if self.models_folder else self.state_path / "models"

    def engine(self, refresh_steps: int, hazard_edges_ms: tuple[int, ...]) -> EngineConfig:
        """Engine settings, with what the bundle decides. Raises SettingsError."""
        try:
            return EngineConfig(
                window_steps=self.window_steps,
                refresh_steps=refresh_steps,
                users_max=self.users_max,
                hidden_users_max=self.hidden_users_max,
                user_ttl_ms=int(self.user_ttl_days * DAY_MS),
                future_ms_max=self.future_ms_max,
                watermark_jump_ms_max=self.watermark_jump_ms_max,
                source_gap_ms_max=self.source_gap_ms_max,
                bucket_ms=self.bucket_ms,
                churn_enter=self.churn_enter,
                churn_leave=self.churn_leave,
                churn_high=self.churn_high,
                churn_horizon_ms=int(self.churn_horizon_days * DAY_MS),
                churn_events_min=self.churn_events_min,
                hash_key=self.hash_key,
                exclude_recent=self.exclude_recent and self.items_top > 0,
                hazard_edges_ms=hazard_edges_ms,
            )
        except ValueError as error:
            raise SettingsError(str(error)) from error


def load(
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Build the settings. Raises SettingsError on an unknown name or a value that does not fit."""
    environ = os.environ if environ is None else environ
    known = get_type_hints(Settings)
    values: dict[str, Any] = {}
    named = file or environ.get(ENV_PREFIX + "SETTINGS")
    path = Path(named or FILE_DEFAULT)
    if named or path.exists():
        values.update(_from_file(path, known))
    for name, kind in known.items():
        text = environ.get(ENV_PREFIX + name.upper())
        if text is not None:
            values[name] = _parse(f"{ENV_PREFIX}{name.upper()}", text, kind)
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return Settings(**values)
    except TypeError as error:
        raise SettingsError(str(error)) from error


def not_used(environ: Mapping[str, str]) -> list[str]:
    """Say which variables look like settings and are none, with the one that was perhaps meant."""
    names = {f.name.upper() for f in dataclasses.fields(Settings)}
    said = []
    for name in sorted(environ):
        rest = name.removeprefix(ENV_PREFIX)
        if name.startswith(ENV_PREFIX) and rest not in {*names, *OTHERS}:
            near = difflib.get_close_matches(rest, names, n=1)
            meant = f"; is {ENV_PREFIX}{near[0]} meant?" if near else ""
            said.append(f"{name} is no setting, and is not used{meant}")
    return said


def _from_file(path: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"settings file {path}: {error}") from error
    for name, value in values.items():
        if name not in known:
            raise SettingsError(f"settings file {path}: {_unknown(name, known)}")
        if not isinstance(value, known[name]) and not (
            known[name] is float and isinstance(value, int)
        ):
            said = name if name in SECRETS else f"{name}={value!r}"
            raise SettingsError(f"settings file {path}: {said} is no {NAME_OF_KIND[known[name]]}")
    return values


def parse_value(name: str, text: str) -> Any:
    """Read an argument's value. Raises SettingsError on an unknown name, a bad value, a secret."""
    kinds = get_type_hints(Settings)
    if name not in kinds:
        raise SettingsError(_unknown(name, kinds))
    if name in SECRETS:
        raise SettingsError(
            f"{name} is no argument: all who are on this machine can read those. Set"
            f" {ENV_PREFIX}{name.upper()}, or name a file of it in the settings"
        )
    return _parse(f"--set {name}", text, kinds[name])


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"unknown setting {name!r}" + (f"; is {near[0]} meant?" if near else "")


def _parse(given: str, text: str, kind: type) -> Any:
    if kind is bool:
        words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        if text.lower() not in words:
            raise SettingsError(f"{given}={text!r} is neither true nor false")
        return words[text.lower()]
    try:
        return kind(text)
    except ValueError as error:
        raise SettingsError(f"{given}={text!r} is no {NAME_OF_KIND[kind]}") from error


def names_with_help() -> list[tuple[str, type, Any, str]]:
    """Name, type, default and help of every setting, in order."""
    kinds = get_type_hints(Settings)
    return [
        (f.name, kinds[f.name], f.default, f.metadata["help"]) for f in dataclasses.fields(Settings)
    ]

from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Quantization(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUANTIZATION_UNSPECIFIED: _ClassVar[Quantization]
    QUANTIZATION_NONE: _ClassVar[Quantization]
    QUANTIZATION_NF4: _ClassVar[Quantization]

class Backend(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BACKEND_UNSPECIFIED: _ClassVar[Backend]
    BACKEND_PEFT: _ClassVar[Backend]
    BACKEND_UNSLOTH: _ClassVar[Backend]
QUANTIZATION_UNSPECIFIED: Quantization
QUANTIZATION_NONE: Quantization
QUANTIZATION_NF4: Quantization
BACKEND_UNSPECIFIED: Backend
BACKEND_PEFT: Backend
BACKEND_UNSLOTH: Backend

class TuningJob(_message.Message):
    __slots__ = ("job_id", "spec", "state", "error", "adapter", "create_time", "start_time", "end_time", "attempts", "progress", "request_id", "priority", "labels", "deadline", "findings", "estimate", "measured", "not_before", "devices", "remote_model", "released")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[TuningJob.State]
        STATE_PENDING: _ClassVar[TuningJob.State]
        STATE_RUNNING: _ClassVar[TuningJob.State]
        STATE_SUCCEEDED: _ClassVar[TuningJob.State]
        STATE_FAILED: _ClassVar[TuningJob.State]
        STATE_CANCELLED: _ClassVar[TuningJob.State]
        STATE_PREPARING: _ClassVar[TuningJob.State]
        STATE_PAUSED: _ClassVar[TuningJob.State]
    STATE_UNSPECIFIED: TuningJob.State
    STATE_PENDING: TuningJob.State
    STATE_RUNNING: TuningJob.State
    STATE_SUCCEEDED: TuningJob.State
    STATE_FAILED: TuningJob.State
    STATE_CANCELLED: TuningJob.State
    STATE_PREPARING: TuningJob.State
    STATE_PAUSED: TuningJob.State
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    REMOTE_MODEL_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    spec: TuningSpec
    state: TuningJob.State
    error: _status_pb2.Status
    adapter: AdapterRef
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    attempts: int
    progress: StepMetrics
    request_id: str
    priority: int
    labels: _containers.ScalarMap[str, str]
    deadline: _timestamp_pb2.Timestamp
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    estimate: RunEstimate
    measured: RunMeasurement
    not_before: _timestamp_pb2.Timestamp
    devices: _containers.RepeatedScalarFieldContainer[str]
    remote_model: RemoteModel
    released: bool
    def __init__(self, job_id: _Optional[str] = ..., spec: _Optional[_Union[TuningSpec, _Mapping]] = ..., state: _Optional[_Union[TuningJob.State, str]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., adapter: _Optional[_Union[AdapterRef, _Mapping]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., attempts: _Optional[int] = ..., progress: _Optional[_Union[StepMetrics, _Mapping]] = ..., request_id: _Optional[str] = ..., priority: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., deadline: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., estimate: _Optional[_Union[RunEstimate, _Mapping]] = ..., measured: _Optional[_Union[RunMeasurement, _Mapping]] = ..., not_before: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., devices: _Optional[_Iterable[str]] = ..., remote_model: _Optional[_Union[RemoteModel, _Mapping]] = ..., released: bool = ...) -> None: ...

class HostedSpec(_message.Message):
    __slots__ = ("provider", "model", "spend_limit_usd")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SPEND_LIMIT_USD_FIELD_NUMBER: _ClassVar[int]
    provider: str
    model: str
    spend_limit_usd: float
    def __init__(self, provider: _Optional[str] = ..., model: _Optional[str] = ..., spend_limit_usd: _Optional[float] = ...) -> None: ...

class RemoteModel(_message.Message):
    __slots__ = ("provider", "endpoint", "model", "base_model", "expires_at", "version")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    provider: str
    endpoint: str
    model: str
    base_model: str
    expires_at: _timestamp_pb2.Timestamp
    version: str
    def __init__(self, provider: _Optional[str] = ..., endpoint: _Optional[str] = ..., model: _Optional[str] = ..., base_model: _Optional[str] = ..., expires_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[str] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("code", "severity", "message", "question_ids", "count")
    class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SEVERITY_UNSPECIFIED: _ClassVar[Finding.Severity]
        SEVERITY_REFUSAL: _ClassVar[Finding.Severity]
        SEVERITY_WARNING: _ClassVar[Finding.Severity]
    SEVERITY_UNSPECIFIED: Finding.Severity
    SEVERITY_REFUSAL: Finding.Severity
    SEVERITY_WARNING: Finding.Severity
    CODE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    QUESTION_IDS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    code: str
    severity: Finding.Severity
    message: str
    question_ids: _containers.RepeatedScalarFieldContainer[str]
    count: int
    def __init__(self, code: _Optional[str] = ..., severity: _Optional[_Union[Finding.Severity, str]] = ..., message: _Optional[str] = ..., question_ids: _Optional[_Iterable[str]] = ..., count: _Optional[int] = ...) -> None: ...

class RunEstimate(_message.Message):
    __slots__ = ("seconds", "load_seconds", "peak_memory_bytes", "available_memory_bytes", "disk_bytes", "steps", "tokens", "basis", "cost_usd")
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    LOAD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    seconds: float
    load_seconds: float
    peak_memory_bytes: int
    available_memory_bytes: int
    disk_bytes: int
    steps: int
    tokens: int
    basis: str
    cost_usd: float
    def __init__(self, seconds: _Optional[float] = ..., load_seconds: _Optional[float] = ..., peak_memory_bytes: _Optional[int] = ..., available_memory_bytes: _Optional[int] = ..., disk_bytes: _Optional[int] = ..., steps: _Optional[int] = ..., tokens: _Optional[int] = ..., basis: _Optional[str] = ..., cost_usd: _Optional[float] = ...) -> None: ...

class RunMeasurement(_message.Message):
    __slots__ = ("seconds", "load_seconds", "peak_memory_bytes", "tokens", "queue_seconds")
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    LOAD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    seconds: float
    load_seconds: float
    peak_memory_bytes: int
    tokens: int
    queue_seconds: float
    def __init__(self, seconds: _Optional[float] = ..., load_seconds: _Optional[float] = ..., peak_memory_bytes: _Optional[int] = ..., tokens: _Optional[int] = ..., queue_seconds: _Optional[float] = ...) -> None: ...

class TuningJobPreview(_message.Message):
    __slots__ = ("spec", "findings", "estimate", "refused")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    spec: TuningSpec
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    estimate: RunEstimate
    refused: bool
    def __init__(self, spec: _Optional[_Union[TuningSpec, _Mapping]] = ..., findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., estimate: _Optional[_Union[RunEstimate, _Mapping]] = ..., refused: bool = ...) -> None: ...

class CheckpointInfo(_message.Message):
    __slots__ = ("step", "epoch", "validation_loss", "size_bytes", "time", "best", "adapter")
    STEP_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_LOSS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    step: int
    epoch: float
    validation_loss: float
    size_bytes: int
    time: _timestamp_pb2.Timestamp
    best: bool
    adapter: AdapterRef
    def __init__(self, step: _Optional[int] = ..., epoch: _Optional[float] = ..., validation_loss: _Optional[float] = ..., size_bytes: _Optional[int] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., best: bool = ..., adapter: _Optional[_Union[AdapterRef, _Mapping]] = ...) -> None: ...

class TuningSpec(_message.Message):
    __slots__ = ("dataset", "adapter_name", "lora", "optimizer", "sft", "dpo", "kto", "orpo", "simpo", "quantization", "backend", "seed", "device_count", "accepted_findings", "retry_smaller", "base_model", "hosted")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_NAME_FIELD_NUMBER: _ClassVar[int]
    LORA_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    SFT_FIELD_NUMBER: _ClassVar[int]
    DPO_FIELD_NUMBER: _ClassVar[int]
    KTO_FIELD_NUMBER: _ClassVar[int]
    ORPO_FIELD_NUMBER: _ClassVar[int]
    SIMPO_FIELD_NUMBER: _ClassVar[int]
    QUANTIZATION_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DEVICE_COUNT_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FINDINGS_FIELD_NUMBER: _ClassVar[int]
    RETRY_SMALLER_FIELD_NUMBER: _ClassVar[int]
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    HOSTED_FIELD_NUMBER: _ClassVar[int]
    dataset: DatasetRef
    adapter_name: str
    lora: LoraParams
    optimizer: OptimizerParams
    sft: SftParams
    dpo: DpoParams
    kto: KtoParams
    orpo: OrpoParams
    simpo: SimpoParams
    quantization: Quantization
    backend: Backend
    seed: int
    device_count: int
    accepted_findings: _containers.RepeatedScalarFieldContainer[str]
    retry_smaller: bool
    base_model: BaseModelRef
    hosted: HostedSpec
    def __init__(self, dataset: _Optional[_Union[DatasetRef, _Mapping]] = ..., adapter_name: _Optional[str] = ..., lora: _Optional[_Union[LoraParams, _Mapping]] = ..., optimizer: _Optional[_Union[OptimizerParams, _Mapping]] = ..., sft: _Optional[_Union[SftParams, _Mapping]] = ..., dpo: _Optional[_Union[DpoParams, _Mapping]] = ..., kto: _Optional[_Union[KtoParams, _Mapping]] = ..., orpo: _Optional[_Union[OrpoParams, _Mapping]] = ..., simpo: _Optional[_Union[SimpoParams, _Mapping]] = ..., quantization: _Optional[_Union[Quantization, str]] = ..., backend: _Optional[_Union[Backend, str]] = ..., seed: _Optional[int] = ..., device_count: _Optional[int] = ..., accepted_findings: _Optional[_Iterable[str]] = ..., retry_smaller: bool = ..., base_model: _Optional[_Union[BaseModelRef, _Mapping]] = ..., hosted: _Optional[_Union[HostedSpec, _Mapping]] = ...) -> None: ...

class BaseModelRef(_message.Message):
    __slots__ = ("name", "digest")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class DatasetRef(_message.Message):
    __slots__ = ("name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class AdapterRef(_message.Message):
    __slots__ = ("name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class LoraParams(_message.Message):
    __slots__ = ("rank", "alpha", "dropout", "target_modules", "use_rslora", "use_dora")
    RANK_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    TARGET_MODULES_FIELD_NUMBER: _ClassVar[int]
    USE_RSLORA_FIELD_NUMBER: _ClassVar[int]
    USE_DORA_FIELD_NUMBER: _ClassVar[int]
    rank: int
    alpha: int
    dropout: float
    target_modules: _containers.RepeatedScalarFieldContainer[str]
    use_rslora: bool
    use_dora: bool
    def __init__(self, rank: _Optional[int] = ..., alpha: _Optional[int] = ..., dropout: _Optional[float] = ..., target_modules: _Optional[_Iterable[str]] = ..., use_rslora: bool = ..., use_dora: bool = ...) -> None: ...

class OptimizerParams(_message.Message):
    __slots__ = ("learning_rate", "max_steps", "epochs", "batch_size", "gradient_accumulation_steps", "warmup_share", "max_length", "evaluation_interval_steps", "early_stopping_patience")
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_ACCUMULATION_STEPS_FIELD_NUMBER: _ClassVar[int]
    WARMUP_SHARE_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_INTERVAL_STEPS_FIELD_NUMBER: _ClassVar[int]
    EARLY_STOPPING_PATIENCE_FIELD_NUMBER: _ClassVar[int]
    learning_rate: float
    max_steps: int
    epochs: float
    batch_size: int
    gradient_accumulation_steps: int
    warmup_share: float
    max_length: int
    evaluation_interval_steps: int
    early_stopping_patience: int
    def __init__(self, learning_rate: _Optional[float] = ..., max_steps: _Optional[int] = ..., epochs: _Optional[float] = ..., batch_size: _Optional[int] = ..., gradient_accumulation_steps: _Optional[int] = ..., warmup_share: _Optional[float] = ..., max_length: _Optional[int] = ..., evaluation_interval_steps: _Optional[int] = ..., early_stopping_patience: _Optional[int] = ...) -> None: ...

class SftParams(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DpoParams(_message.Message):
    __slots__ = ("beta", "initial_adapter")
    BETA_FIELD_NUMBER: _ClassVar[int]
    INITIAL_ADAPTER_FIELD_NUMBER: _ClassVar[int]
    beta: float
    initial_adapter: AdapterRef
    def __init__(self, beta: _Optional[float] = ..., initial_adapter: _Optional[_Union[AdapterRef, _Mapping]] = ...) -> None: ...

class KtoParams(_message.Message):
    __slots__ = ("beta", "desirable_weight", "undesirable_weight", "initial_adapter")
    BETA_FIELD_NUMBER: _ClassVar[int]
    DESIRABLE_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    UNDESIRABLE_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    INITIAL_ADAPTER_FIELD_NUMBER: _ClassVar[int]
    beta: float
    desirable_weight: float
    undesirable_weight: float
    initial_adapter: AdapterRef
    def __init__(self, beta: _Optional[float] = ..., desirable_weight: _Optional[float] = ..., undesirable_weight: _Optional[float] = ..., initial_adapter: _Optional[_Union[AdapterRef, _Mapping]] = ...) -> None: ...

class OrpoParams(_message.Message):
    __slots__ = ("beta",)
    BETA_FIELD_NUMBER: _ClassVar[int]
    beta: float
    def __init__(self, beta: _Optional[float] = ...) -> None: ...

class SimpoParams(_message.Message):
    __slots__ = ("beta", "gamma")
    BETA_FIELD_NUMBER: _ClassVar[int]
    GAMMA_FIELD_NUMBER: _ClassVar[int]
    beta: float
    gamma: float
    def __init__(self, beta: _Optional[float] = ..., gamma: _Optional[float] = ...) -> None: ...

class StepMetrics(_message.Message):
    __slots__ = ("step", "total_steps", "epoch", "train_loss", "validation_loss", "learning_rate", "gradient_norm", "tokens_per_second", "seconds_left")
    STEP_FIELD_NUMBER: _ClassVar[int]
    TOTAL_STEPS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TRAIN_LOSS_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_LOSS_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_NORM_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    SECONDS_LEFT_FIELD_NUMBER: _ClassVar[int]
    step: int
    total_steps: int
    epoch: float
    train_loss: float
    validation_loss: float
    learning_rate: float
    gradient_norm: float
    tokens_per_second: float
    seconds_left: float
    def __init__(self, step: _Optional[int] = ..., total_steps: _Optional[int] = ..., epoch: _Optional[float] = ..., train_loss: _Optional[float] = ..., validation_loss: _Optional[float] = ..., learning_rate: _Optional[float] = ..., gradient_norm: _Optional[float] = ..., tokens_per_second: _Optional[float] = ..., seconds_left: _Optional[float] = ...) -> None: ...

class TuningJobEvent(_message.Message):
    __slots__ = ("sequence", "time", "state_change", "metrics", "message", "finding", "estimate", "attempt")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_CHANGE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FINDING_FIELD_NUMBER: _ClassVar[int]
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time: _timestamp_pb2.Timestamp
    state_change: TuningJob.State
    metrics: StepMetrics
    message: str
    finding: Finding
    estimate: RunEstimate
    attempt: int
    def __init__(self, sequence: _Optional[int] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., state_change: _Optional[_Union[TuningJob.State, str]] = ..., metrics: _Optional[_Union[StepMetrics, _Mapping]] = ..., message: _Optional[str] = ..., finding: _Optional[_Union[Finding, _Mapping]] = ..., estimate: _Optional[_Union[RunEstimate, _Mapping]] = ..., attempt: _Optional[int] = ...) -> None: ...

class CreateTuningJobRequest(_message.Message):
    __slots__ = ("spec", "request_id", "priority", "labels", "deadline")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SPEC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    spec: TuningSpec
    request_id: str
    priority: int
    labels: _containers.ScalarMap[str, str]
    deadline: _timestamp_pb2.Timestamp
    def __init__(self, spec: _Optional[_Union[TuningSpec, _Mapping]] = ..., request_id: _Optional[str] = ..., priority: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., deadline: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetTuningJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class ListTuningJobsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states", "labels", "adapter_name", "dataset_name", "at_provider")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_NAME_FIELD_NUMBER: _ClassVar[int]
    DATASET_NAME_FIELD_NUMBER: _ClassVar[int]
    AT_PROVIDER_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[TuningJob.State]
    labels: _containers.ScalarMap[str, str]
    adapter_name: str
    dataset_name: str
    at_provider: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[TuningJob.State, str]]] = ..., labels: _Optional[_Mapping[str, str]] = ..., adapter_name: _Optional[str] = ..., dataset_name: _Optional[str] = ..., at_provider: bool = ...) -> None: ...

class ListTuningJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[TuningJob]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[TuningJob, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CancelTuningJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class DeleteTuningJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class PauseTuningJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class ResumeTuningJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class ListCheckpointsRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class ListCheckpointsResponse(_message.Message):
    __slots__ = ("checkpoints",)
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    checkpoints: _containers.RepeatedCompositeFieldContainer[CheckpointInfo]
    def __init__(self, checkpoints: _Optional[_Iterable[_Union[CheckpointInfo, _Mapping]]] = ...) -> None: ...

class PublishCheckpointRequest(_message.Message):
    __slots__ = ("job_id", "step")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    step: int
    def __init__(self, job_id: _Optional[str] = ..., step: _Optional[int] = ...) -> None: ...

class WatchTuningJobRequest(_message.Message):
    __slots__ = ("job_id", "after_sequence", "until_now")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_NOW_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    after_sequence: int
    until_now: bool
    def __init__(self, job_id: _Optional[str] = ..., after_sequence: _Optional[int] = ..., until_now: bool = ...) -> None: ...

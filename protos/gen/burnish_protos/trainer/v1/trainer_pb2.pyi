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
    __slots__ = ("job_id", "spec", "state", "error", "adapter", "create_time", "start_time", "end_time", "attempts", "progress", "request_id")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[TuningJob.State]
        STATE_PENDING: _ClassVar[TuningJob.State]
        STATE_RUNNING: _ClassVar[TuningJob.State]
        STATE_SUCCEEDED: _ClassVar[TuningJob.State]
        STATE_FAILED: _ClassVar[TuningJob.State]
        STATE_CANCELLED: _ClassVar[TuningJob.State]
    STATE_UNSPECIFIED: TuningJob.State
    STATE_PENDING: TuningJob.State
    STATE_RUNNING: TuningJob.State
    STATE_SUCCEEDED: TuningJob.State
    STATE_FAILED: TuningJob.State
    STATE_CANCELLED: TuningJob.State
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
    def __init__(self, job_id: _Optional[str] = ..., spec: _Optional[_Union[TuningSpec, _Mapping]] = ..., state: _Optional[_Union[TuningJob.State, str]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., adapter: _Optional[_Union[AdapterRef, _Mapping]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., attempts: _Optional[int] = ..., progress: _Optional[_Union[StepMetrics, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class TuningSpec(_message.Message):
    __slots__ = ("dataset", "adapter_name", "lora", "optimizer", "sft", "dpo", "quantization", "backend", "seed")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_NAME_FIELD_NUMBER: _ClassVar[int]
    LORA_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    SFT_FIELD_NUMBER: _ClassVar[int]
    DPO_FIELD_NUMBER: _ClassVar[int]
    QUANTIZATION_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    dataset: DatasetRef
    adapter_name: str
    lora: LoraParams
    optimizer: OptimizerParams
    sft: SftParams
    dpo: DpoParams
    quantization: Quantization
    backend: Backend
    seed: int
    def __init__(self, dataset: _Optional[_Union[DatasetRef, _Mapping]] = ..., adapter_name: _Optional[str] = ..., lora: _Optional[_Union[LoraParams, _Mapping]] = ..., optimizer: _Optional[_Union[OptimizerParams, _Mapping]] = ..., sft: _Optional[_Union[SftParams, _Mapping]] = ..., dpo: _Optional[_Union[DpoParams, _Mapping]] = ..., quantization: _Optional[_Union[Quantization, str]] = ..., backend: _Optional[_Union[Backend, str]] = ..., seed: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("rank", "alpha", "dropout", "target_modules")
    RANK_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    TARGET_MODULES_FIELD_NUMBER: _ClassVar[int]
    rank: int
    alpha: int
    dropout: float
    target_modules: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rank: _Optional[int] = ..., alpha: _Optional[int] = ..., dropout: _Optional[float] = ..., target_modules: _Optional[_Iterable[str]] = ...) -> None: ...

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
    __slots__ = ("sequence", "time", "state_change", "metrics", "message")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_CHANGE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time: _timestamp_pb2.Timestamp
    state_change: TuningJob.State
    metrics: StepMetrics
    message: str
    def __init__(self, sequence: _Optional[int] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., state_change: _Optional[_Union[TuningJob.State, str]] = ..., metrics: _Optional[_Union[StepMetrics, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...

class CreateTuningJobRequest(_message.Message):
    __slots__ = ("spec", "request_id")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    spec: TuningSpec
    request_id: str
    def __init__(self, spec: _Optional[_Union[TuningSpec, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetTuningJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class ListTuningJobsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[TuningJob.State]
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[TuningJob.State, str]]] = ...) -> None: ...

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

class WatchTuningJobRequest(_message.Message):
    __slots__ = ("job_id", "after_sequence")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    after_sequence: int
    def __init__(self, job_id: _Optional[str] = ..., after_sequence: _Optional[int] = ...) -> None: ...

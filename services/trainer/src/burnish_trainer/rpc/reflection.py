"""Server reflection, v1 beside v1alpha, so that grpcurl and its like find what they ask for. Called by server.py.

grpcio-reflection 1.85 has v1alpha alone. v1 has the same messages under another package, so the same servicer answers both.
"""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import grpc.aio
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection, reflection_pb2

V1 = "grpc.reflection.v1"
SERVICE = "ServerReflection"


def add_reflection(services: Sequence[str], server: grpc.aio.Server) -> None:
    """Offer the descriptors of these services, and of reflection itself."""
    _describe_v1()
    names = (*services, f"{V1}.{SERVICE}", reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    answer = grpc.stream_stream_rpc_method_handler(
        reflection.aio.ReflectionServicer(names).ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handler = grpc.method_handlers_generic_handler(f"{V1}.{SERVICE}", {"ServerReflectionInfo": answer})
    server.add_generic_rpc_handlers((handler,))


def _describe_v1() -> None:
    """Put v1's descriptors, which differ from v1alpha's in the package alone, among those that can be asked for."""
    pool, old = descriptor_pool.Default(), reflection_pb2.DESCRIPTOR
    file = FileDescriptorProto.FromString(old.serialized_pb)
    file.name, file.package = f"{V1.replace('.', '/')}/reflection.proto", V1
    types = [field for message in file.message_type for field in message.field if field.type_name]
    for field in types:
        field.type_name = field.type_name.replace(old.package, V1)
    for method in file.service[0].method:
        method.input_type = method.input_type.replace(old.package, V1)
        method.output_type = method.output_type.replace(old.package, V1)
    pool.AddSerializedFile(file.SerializeToString())

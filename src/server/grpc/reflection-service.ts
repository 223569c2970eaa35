/** The standard reflection service, by which tools such as grpcurl learn the contract. It tells nothing else, and needs no token. */

import { create, type DescFile, type DescService, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type { ServerDuplexStream, UntypedServiceImplementation } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { Undecodable } from '../../contract/codec.js';
import {
  type ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from '../../contract/generated/reflection_pb.js';

type Call = ServerDuplexStream<ServerReflectionRequest, ServerReflectionResponse>;
type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>['messageResponse']>;

export class ReflectionService {
  readonly #services: readonly DescService[];
  readonly #files = new Map<string, Uint8Array>();
  /** Which file a full name is in. */
  readonly #fileOf = new Map<string, string>();
  readonly #open = new Set<Call>();

  constructor(services: readonly DescService[]) {
    this.#services = services;
    for (const { file } of services) this.#addFile(file);
  }

  get calls(): UntypedServiceImplementation {
    return { serverReflectionInfo: (call: Call) => this.#serve(call) };
  }

  stop(): void {
    for (const call of this.#open) call.end();
  }

  #serve(call: Call): void {
    this.#open.add(call);
    call.once('cancelled', () => this.#open.delete(call));
    call.on('data', (request: ServerReflectionRequest) => {
      if (request instanceof Undecodable) {
        call.emit('error', {
          code: status.INVALID_ARGUMENT,
          details: 'the request is not a message of its type',
        });
        return;
      }
      const more = call.write(
        create(ServerReflectionResponseSchema, {
          validHost: request.host,
          originalRequest: request,
          messageResponse: this.#answer(request.messageRequest),
        }),
      );
      if (!more) call.pause();
    });
    call.on('drain', () => call.resume());
    call.on('end', () => call.end());
  }

  #answer(request: ServerReflectionRequest['messageRequest']): Answer {
    switch (request.case) {
      case 'listServices':
        return {
          case: 'listServicesResponse',
          value: { service: this.#services.map(({ typeName }) => ({ name: typeName })) },
        };
      case 'fileByFilename':
        return this.#fileAnswer(request.value);
      case 'fileContainingSymbol':
        return this.#fileAnswer(this.#fileOf.get(request.value));
      case 'fileContainingExtension':
      case 'allExtensionNumbersOfType':
        return failed(status.NOT_FOUND, 'there are no extensions here');
      case undefined:
        return failed(status.INVALID_ARGUMENT, 'the request asks for nothing that is known here');
    }
  }

  #fileAnswer(name: string | undefined): Answer {
    const file = name === undefined ? undefined : this.#files.get(name);
    if (file === undefined) return failed(status.NOT_FOUND, 'there is nothing of this name here');
    return { case: 'fileDescriptorResponse', value: { fileDescriptorProto: [file] } };
  }

  /** None of our files imports another, so each is an answer of its own. */
  #addFile({ proto, services, messages, enums }: DescFile): void {
    this.#files.set(proto.name, toBinary(FileDescriptorProtoSchema, proto));
    for (const { typeName, methods } of services) {
      this.#fileOf.set(typeName, proto.name);
      for (const { name } of methods) this.#fileOf.set(`${typeName}.${name}`, proto.name);
    }
    for (const { typeName } of [...messages, ...enums]) this.#fileOf.set(typeName, proto.name);
  }
}

function failed(errorCode: number, errorMessage: string): Answer {
  return { case: 'errorResponse', value: { errorCode, errorMessage } };
}

import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { status } from '@grpc/grpc-js';
import { WaybillError } from '../domain/errors.ts';
import { toErrorTrailers } from './error-detail.ts';
import { grpcStatusOf } from './status-codes.ts';

/**
 * Why a call is refused before gRPC sees it: compression. A kilobyte may hold a mebibyte of zeros, and
 * what we send is compressed as content, where it helps.
 */
export function refusalOfHeaders(headers: IncomingHttpHeaders): WaybillError | undefined {
  const encoding = headers['grpc-encoding'] ?? 'identity';
  if (encoding === 'identity') return undefined;
  return new WaybillError({
    code: 'MESSAGE_INVALID',
    field: 'grpc-encoding',
    expected: 'identity',
    actual: String(encoding).slice(0, 20),
  });
}

/** Answers a call that nobody has taken with an error. */
export function refuseCall(stream: ServerHttp2Stream, error: WaybillError): void {
  if (stream.closed || stream.destroyed) return;
  // What gRPC wants said to a caller whose encoding is not known.
  const isEncoding = error.code === 'MESSAGE_INVALID';
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc+proto',
      'grpc-accept-encoding': 'identity',
      'grpc-status': isEncoding ? status.UNIMPLEMENTED : grpcStatusOf[error.code],
      'grpc-message': encodeURI(error.message),
      ...toErrorTrailers(error).toHttp2Headers(),
    },
    { endStream: true },
  );
}

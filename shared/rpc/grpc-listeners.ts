import { once } from 'node:events';
import type { Http2SecureServer } from 'node:http2';
import type { Server } from '@grpc/grpc-js';

/** The HTTP/2 servers of a gRPC server that listens, which grpc-js keeps to itself. */
export function grpcListenersOf(server: Server): Http2SecureServer[] {
  const listeners = (server as unknown as { http2Servers?: unknown }).http2Servers;
  if (!(listeners instanceof Map) || listeners.size === 0) {
    throw new Error('grpc-js no longer keeps its HTTP/2 servers in http2Servers');
  }
  return [...listeners.keys()] as Http2SecureServer[];
}

/** Resolves when none of them listens any more and the last connection is closed. */
export async function allClosed(listeners: Iterable<Http2SecureServer>): Promise<void> {
  const open = [...listeners].filter((listener) => listener.listening);
  await Promise.all(open.map((listener) => once(listener, 'close')));
}

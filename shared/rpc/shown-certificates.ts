import { X509Certificate } from 'node:crypto';
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import { WaybillError } from '../domain/errors.ts';
import { AbortError } from '../runtime/abort-error.ts';
import { reasonOfLostConnection } from './connection-failure.ts';

/** Certificates of a chain that are looked at. */
const chainLengthMax = 6;

/**
 * The certificates a server shows at the beginning of a connection, its own first: nothing of them is
 * verified, and nothing is sent. For who has no root yet, and only knows one by its hash.
 *
 * @throws PEER_UNREACHABLE; AbortError
 */
export async function shownCertificates(
  address: string,
  { withinMs, signal }: { readonly withinMs: number; readonly signal?: AbortSignal },
): Promise<X509Certificate[]> {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  const socket = connect({
    ...{ host, port: Number(address.slice(at + 1)), rejectUnauthorized: false },
    ...{ minVersion: 'TLSv1.3', ALPNProtocols: ['h2'], servername: 'waybill.invalid' },
  });
  const timer = setTimeout(() => socket.destroy(new Error('ETIMEDOUT')), withinMs);
  const abort = () => socket.destroy(new AbortError(undefined, { cause: signal?.reason }));
  signal?.addEventListener('abort', abort, { once: true });
  try {
    await secured(socket);
    return chainOf(socket.getPeerCertificate(true));
  } catch (error) {
    if (signal?.aborted) throw new AbortError(undefined, { cause: signal.reason });
    const reason = reasonOfLostConnection(toText(error));
    const peer = 'the enrollment port';
    throw new WaybillError({ code: 'PEER_UNREACHABLE', peer, address, reason }, { cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    socket.destroy();
  }
}

function secured(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
  });
}

function chainOf(
  first: PeerCertificate & { issuerCertificate?: PeerCertificate },
): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next: typeof first | undefined = first;
  while (next?.raw && chain.length < chainLengthMax) {
    chain.push(new X509Certificate(next.raw));
    const above: typeof first | undefined = next.issuerCertificate;
    // A root is its own issuer.
    next = above === next ? undefined : above;
  }
  return chain;
}

function toText(error: unknown): string {
  const { code = '', message = '' } = error as { code?: string; message?: string };
  return `${code} ${message}`;
}

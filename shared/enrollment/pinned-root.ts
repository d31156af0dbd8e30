import { createHash, type X509Certificate } from 'node:crypto';
import { WaybillError } from '../domain/errors.ts';
import { refusalOfTime } from '../rpc/certificate-trust.ts';

/**
 * The root among the certificates a server shows that a token names by the hash of its key. Nobody else can
 * make one with this key: it has signed itself. So this one is believed, and only what it vouches for.
 *
 * @throws ENROLLMENT_ROOT_MISMATCH when there is none
 */
export function pinnedRoot(
  shown: readonly X509Certificate[],
  rootKeyHash: Uint8Array,
  address: string,
): X509Certificate {
  const root = shown.find((one) => keyHashOf(one)?.equals(rootKeyHash) && isRoot(one));
  if (root) return root;
  const reason = whyNot(shown.at(-1));
  throw new WaybillError({ code: 'ENROLLMENT_ROOT_MISMATCH', address, reason });
}

function whyNot(last: X509Certificate | undefined): string {
  if (!last) return 'it shows no certificate';
  return last.checkIssued(last)
    ? `its root is another one, "${nameOf(last)}". ${toNewToken}`
    : 'it shows no root, as the enrollment port of a site does; the port for agents, for one, does not';
}

const toNewToken =
  'If it is the right server, the hierarchy has changed its root since: have a new token made, this one is not used up';

/** Why the certificates of a server do not count by the clock of this machine; undefined when they do. */
export function refusalOfClock(
  shown: readonly X509Certificate[],
  nowMs: number,
): string | undefined {
  const refusal = shown.map((one) => refusalOfTime(one, nowMs)).find((one) => one !== undefined);
  if (refusal === undefined) return undefined;
  return `${refusal.replace(/^it /, 'its certificate ')}. Set the clock that is wrong`;
}

function isRoot(certificate: X509Certificate): boolean {
  return (
    certificate.ca &&
    certificate.checkIssued(certificate) &&
    certificate.verify(certificate.publicKey)
  );
}

/** Undefined for a key of a kind that is not known here. */
function keyHashOf(certificate: X509Certificate): Buffer | undefined {
  try {
    const publicKey = certificate.publicKey.export({ type: 'spki', format: 'der' });
    return createHash('sha256').update(publicKey).digest();
  } catch {
    return undefined;
  }
}

/** Of a stranger: short, and harmless on a terminal. */
function nameOf({ subject }: X509Certificate): string {
  const name = /(?:^|\n)CN=([^\n]*)/.exec(subject)?.[1] ?? subject;
  return name.replace(/[^\x20-\x7e]/g, '?').slice(0, 80);
}

/**
 * How a new machine, site or administrator gets its first certificate (docs/trust.md, 3). Used by the three
 * programs. The order is what makes it safe and able to go on: the key is on disk before anything is sent;
 * the root is known by the token before the token is sent; the same key asks again after a crash, and
 * is given the same answer.
 */
import type { X509Certificate } from 'node:crypto';
import {
  type ParsedToken,
  parseEnrollmentToken,
  tokenFaultWords,
} from '../domain/enrollment-token.ts';
import { WaybillError } from '../domain/errors.ts';
import { type PeerIdentity, toIdentityUri } from '../domain/peer-identity.ts';
import { EnrollmentChannel } from '../rpc/enrollment-channel.ts';
import { expectedSite } from '../rpc/expected-site.ts';
import { shownCertificates } from '../rpc/shown-certificates.ts';
import type { Clock } from '../runtime/clock.ts';
import { checkedGrant, type GrantedIdentity } from './granted-identity.ts';
import { pinnedRoot, refusalOfClock } from './pinned-root.ts';

/** What is to become of whom. */
export interface Enrolling {
  /** Of an administrator, role and scope do not matter: the site gives those of the token. */
  readonly identity: PeerIdentity;
  /** host:port of the enrollment port of a site. */
  readonly server: string;
  /** The site that must answer there; absent: any of the hierarchy, also one that was stolen. */
  readonly serverSite?: string | undefined;
  /** host:port by which the machine will be reached; empty: as the site knows it. */
  readonly address: string;
  /** The token, as it was typed. */
  readonly token: string;
}

/** What enrolling needs. */
export interface EnrollingNeeds {
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly signal: AbortSignal;
  /** The key to ask with, on disk already; PEM. */
  readonly key: () => Promise<string>;
  /** PKCS #10, DER. */
  readonly certificateRequestOf: (keyPem: string) => Promise<Buffer>;
}

/** What somebody has after it: not yet on disk. */
export interface Enrolled extends GrantedIdentity {
  /** PEM, PKCS #8. Never logged. */
  readonly key: string;
  /** The root to believe from now on. */
  readonly root: X509Certificate;
}

/** How long a server may take to show its certificates. */
const lookMsMax = 10_000;
/** How long a site may take to answer: it may have to ask the sites above it. */
const askMsMax = 30_000;

/**
 * Gets a certificate for a token.
 *
 * @throws TOKEN_INVALID, before anything else is done
 * @throws PEER_UNREACHABLE, also for a clock that is wrong; ENROLLMENT_ROOT_MISMATCH, PEER_IDENTITY_MISMATCH: nothing
 *   was sent
 * @throws ENROLLMENT_REFUSED and what else the site answers; PEER_FAILED for an answer that is not to be used
 */
export async function enrolled(needs: EnrollingNeeds, asked: Enrolling): Promise<Enrolled> {
  const { identity, server, serverSite, address } = asked;
  const token = requireToken(parseEnrollmentToken(asked.token));
  const root = await foundRoot(needs, server, token.rootKeyHash);
  const keyPem = await needs.key();
  const certificateRequest = await needs.certificateRequestOf(keyPem);
  const identityUri = toIdentityUri(identity);
  const request = { token: asked.token.trim(), identityUri, certificateRequest, address };
  const roots = root.toString();
  const named = serverSite === undefined ? {} : expectedSite(serverSite);
  const channel = new EnrollmentChannel({ address: server, roots, ...named });
  try {
    const options = { deadlineMs: askMsMax, signal: needs.signal };
    const answer = await channel.call('enroll', request, options);
    return { ...checkedGrant(answer, { identity, keyPem, roots: [root] }), key: keyPem, root };
  } finally {
    channel.close();
  }
}

/** The root that the token names; everything that is shown is looked at, and nothing is sent. */
async function foundRoot(
  { clock, signal }: EnrollingNeeds,
  server: string,
  rootKeyHash: Uint8Array,
): Promise<X509Certificate> {
  const shown = await shownCertificates(server, { withinMs: lookMsMax, signal });
  const root = pinnedRoot(shown, rootKeyHash, server);
  const reason = refusalOfClock(shown, clock.nowMs());
  if (reason === undefined) return root;
  const peer = 'the enrollment port';
  throw new WaybillError({ code: 'PEER_UNREACHABLE', peer, address: server, reason });
}

function requireToken({ token, fault }: ParsedToken) {
  if (token) return token;
  throw new WaybillError({ code: 'TOKEN_INVALID', reason: tokenFaultWords[fault] });
}

import { randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { encodeEnrollmentToken, enrollmentSecretBytes } from '../shared/domain/enrollment-token.ts';
import type { MethodName, RequestOf } from '../shared/rpc/conversation.ts';
import { methodDefinition } from '../shared/rpc/service-definitions.ts';
import { type Attack, withConnections } from './hostile-peer.ts';
import { flags, frame, framed, frameTypes, type RawHttp2, type Target } from './raw-http2.ts';

/** As long as what an honest machine sends; nobody looks at it before the token is known. */
const certificateRequest = Buffer.alloc(250, 1);
/** Guesses that are sent before the first is answered. */
const atOnce = 2;
const answerMsMax = 1_000;

/** A token of the right form that no site has made. */
export function guessedToken(): string {
  return encodeEnrollmentToken({
    tokenId: randomBytes(8).toString('hex'),
    secret: randomBytes(enrollmentSecretBytes),
    rootKeyHash: randomBytes(32),
  });
}

function enrollMessage(identityUri: string): Buffer {
  return messageOf('enroll', {
    token: guessedToken(),
    identityUri,
    certificateRequest,
    address: '',
  });
}

/** Of a certificate that is right, with a proof that is not: what costs the site most. */
function renewMessage({ credentials }: Target): Buffer {
  const pems = credentials.certificate.toString('latin1').split(/(?=-----BEGIN)/);
  const [certificate, authorityCertificate] = pems
    .filter((pem) => pem.startsWith('-----BEGIN CERTIFICATE'))
    .map((pem) => new X509Certificate(pem).raw);
  return messageOf('renew', {
    certificate: certificate ?? Buffer.alloc(1),
    ...{ authorityCertificate: authorityCertificate ?? Buffer.alloc(0) },
    ...{ certificateRequest, signature: randomBytes(70) },
  });
}

function messageOf<M extends MethodName<'Enrollment'>>(
  method: M,
  request: RequestOf<'Enrollment', M>,
): Buffer {
  return methodDefinition('Enrollment', method).requestSerialize(request);
}

/** Asks again and again, as fast as answers come. */
function guessing(name: string, messageTo: (target: Target) => [path: string, Buffer]): Attack {
  return {
    name,
    does: { bytes: 5_000 },
    needsCertificate: false,
    run: (target, signal) =>
      withConnections(target, signal, async (raw) => {
        for (let count = 0; count < atOnce; count++) await ask(raw, ...messageTo(target));
        // More at once is refused, and cheap.
        await heard(raw, signal);
      }),
  };
}

async function ask(raw: RawHttp2, path: string, message: Buffer): Promise<void> {
  const id = await raw.call(path);
  await raw.write(frame(frameTypes.data, flags.endStream, id, framed(message)));
}

/** Resolves when something was answered, or will hardly be. */
async function heard({ socket }: RawHttp2, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const ends = AbortSignal.any([signal, over.signal, AbortSignal.timeout(answerMsMax)]);
  const waits = ['data', 'close'].map((event) => once(socket, event, { signal: ends }));
  await Promise.race(waits).catch(() => {});
  over.abort();
  await Promise.allSettled(waits);
}

const enrollPathOf = ({ paths }: Target) => paths?.single ?? '/waybill.v1.Enrollment/Enroll';
const renewPathOf = (target: Target) => enrollPathOf(target).replace(/Enroll$/, 'Renew');

/** What somebody does who would like a certificate. The single path of the target is that of Enroll. */
export const guesses: readonly Attack[] = [
  guessing('guesses of tokens', (target) => [
    enrollPathOf(target),
    enrollMessage('waybill://dp/PS1DP1'),
  ]),
  guessing('guesses of the tokens of sites', (target) => [
    enrollPathOf(target),
    enrollMessage('waybill://site/SS1'),
  ]),
  guessing('renewals without the key', (target) => [renewPathOf(target), renewMessage(target)]),
];

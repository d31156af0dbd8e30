import { dueOf, type KnownCertificate } from '../../shared/domain/known-certificate.ts';
import { toDurationText } from '../../shared/runtime/duration-text.ts';
import type { StatusFacts } from '../status-manager/status-manager.ts';
import type { Observation } from './alarm-table.ts';

const prefix = 'certificate';

/**
 * What is told of certificates that end soon: each once, and once more when little time is left. One that
 * was renewed has another end, and what was told of it is over.
 */
export function observationsOfCertificates(
  certificates: readonly KnownCertificate[],
  nowMs: number,
): Observation[] {
  return certificates.flatMap((certificate) => {
    const isUrgent = dueOf(certificate, nowMs) !== 'soon';
    // The first stays when the second comes: nothing was renewed.
    const messageIds = isUrgent ? ([9050, 9051] as const) : ([9050] as const);
    return messageIds.map((messageId) => ({
      key: [prefix, messageId, certificate.kind, certificate.holder].join('/'),
      mark: certificate.notAfterMs,
      ...{ isExcused: false, patienceMs: 0 },
      toFacts: () => toFacts(messageId, certificate, nowMs),
    }));
  });
}

export function isCertificateKey(key: string): boolean {
  return key.startsWith(`${prefix}/`);
}

/** What is told of one that administrators were told of, and that does not end soon any more. */
export function renewedFactsOf(key: string): StatusFacts | undefined {
  const [, messageId, kind = '', ...holder] = key.split('/');
  if (messageId !== '9050') return undefined;
  return { messageId: 9052, insertionStrings: [wordsOf(kind, holder.join('/'))] };
}

function toFacts(
  messageId: 9050 | 9051,
  { kind, holder, notAfterMs, reason }: KnownCertificate,
  nowMs: number,
): StatusFacts {
  const leftMs = notAfterMs - nowMs;
  const when =
    leftMs >= 0 ? `ends in ${toDurationText(leftMs)}` : `ended ${toDurationText(-leftMs)} ago`;
  const what = kind === 'root' ? rotate : reason || 'its holder has said nothing of why';
  const [holderKind, name = ''] = holder.split('/');
  const dpId = holderKind === 'dp' ? { dpId: name } : {};
  return { messageId, insertionStrings: [wordsOf(kind, holder), when, what], ...dpId };
}

const rotate = 'make another one with "waybill-site rotate-root" at the top site';

function wordsOf(kind: string, holder: string): string {
  const [holderKind = '', name = ''] = holder.split('/');
  if (kind === 'root') return `root ${holder}`;
  if (kind === 'site-authority') return `the authority of site ${name}`;
  return holderKind === 'dp' ? `distribution point ${name}` : `${holderKind} ${name}`;
}

import { certificateCounts } from '../domain/certificate-keeping.ts';
import type { KnownCertificate, ToldCertificate } from '../domain/known-certificate.ts';
import { agentVersion } from '../runtime/agent-version.ts';
import { type MetricReader, type Reading, reading } from './metric-register.ts';

/**
 * What every agent says: who it is, and whether its certificate is taken.
 *
 * @param holder see `holderOf`
 */
export function agentReadings(holder: string, own: () => ToldCertificate): MetricReader {
  const build = reading('waybill_build_info', { agent: holder, version: agentVersion() }, 1);
  return () => {
    const isAccepted = certificateCounts(own().state);
    return [build, reading('waybill_certificate_valid', {}, isAccepted ? 1 : 0)];
  };
}

/** When these end. */
export function expiryReadings(
  certificates: readonly Pick<KnownCertificate, 'kind' | 'holder' | 'notAfterMs'>[],
): Reading[] {
  return certificates.map(({ kind, holder, notAfterMs }) => {
    const labels = { certificate: kind, holder };
    return reading('waybill_certificate_expiry_timestamp_seconds', labels, notAfterMs / 1_000);
  });
}

/** Content that an agent has moved since it began, in bytes. */
export interface MovedContent {
  readonly way: 'push' | 'pull' | 'site';
  readonly direction: 'sent' | 'received';
  readonly bytes: number;
}

/** How much it was. */
export function movedReadings(moved: readonly MovedContent[]): Reading[] {
  return moved.map(({ way, direction, bytes }) =>
    reading('waybill_content_bytes_total', { way, direction }, bytes),
  );
}

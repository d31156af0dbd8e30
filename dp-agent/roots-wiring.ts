/** The wiring of the roots a DP trusts (docs/trust.md, 6). */
import { dirname } from 'node:path';
import { isKeptByAgent } from '../shared/certificates/pair-file.ts';
import { type BundleVerdict, decodeTrustBundle } from '../shared/certificates/trust-bundle.ts';
import { TrustedRoots } from '../shared/certificates/trusted-roots.ts';
import type { ToldBundle } from '../shared/domain/told-trust.ts';
import { EnrolledAnew } from '../shared/enrollment/enrolled-anew.ts';
import type { Clock } from '../shared/runtime/clock.ts';
import type { Logger } from '../shared/runtime/logger.ts';
import type { DpConfig } from './dp-config.ts';

/** The roots, and what is done with a bundle that the site tells. */
export interface DpRoots {
  readonly trustedRoots: TrustedRoots;
  /** Whether a root that is trusted has signed it, and it is not over. */
  readonly isBundleKept: (bundle: ToldBundle) => boolean;
  readonly onBundle: (bundle: ToldBundle) => void;
  readonly anew: EnrolledAnew;
}

/** Opens them; undefined where somebody else puts them there. @throws CERTIFICATE_INVALID */
export async function dpRoots(
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
  { certificates }: DpConfig,
): Promise<DpRoots | undefined> {
  if (!isKeptByAgent(certificates)) return undefined;
  const trustedRoots = await TrustedRoots.open(certificates.caFile, clock);
  const isBundleKept = (bundle: ToldBundle) => {
    const verdict = trustedRoots.verdictOn(decoded(bundle));
    tellRefused(verdict, trustedRoots, logger);
    return verdict.kind === 'newer' || verdict.kind === 'same';
  };
  const onBundle = (bundle: ToldBundle) => {
    void takeBundle(trustedRoots, bundle, logger);
  };
  const anew = new EnrolledAnew(dirname(certificates.certificateFile));
  return { trustedRoots, isBundleKept, onBundle, anew };
}

function decoded({ base64 }: ToldBundle): unknown {
  return decodeTrustBundle(Buffer.from(base64, 'base64'));
}

function tellRefused(verdict: BundleVerdict, { held }: TrustedRoots, logger: Logger): void {
  if (verdict.kind !== 'refused') return;
  const { generation } = held;
  logger.warn({ generation, reason: verdict.reason }, 'A trust bundle is not believed');
}

/** Never fails for what it is told, and tells the failure of a disk: it is told again at the next start. */
async function takeBundle(roots: TrustedRoots, bundle: ToldBundle, logger: Logger): Promise<void> {
  try {
    const verdict = await roots.take(decoded(bundle));
    const { generation } = roots.held;
    if (verdict.kind === 'newer') logger.info({ generation }, 'Trusts other roots from now on');
    tellRefused(verdict, roots, logger);
  } catch (err) {
    logger.error({ err }, 'The roots to trust could not be written');
  }
}

/** The wiring of the roots a DP trusts (docs/trust.md, 6). */
import { isKeptByAgent } from '../shared/certificates/pair-file.ts';
import { decodeTrustBundle } from '../shared/certificates/trust-bundle.ts';
import { TrustedRoots } from '../shared/certificates/trusted-roots.ts';
import type { ToldBundle } from '../shared/domain/told-trust.ts';
import type { Clock } from '../shared/runtime/clock.ts';
import type { Logger } from '../shared/runtime/logger.ts';
import type { DpConfig } from './dp-config.ts';

/** The roots, and what is done with a bundle that the site tells. */
export interface DpRoots {
  readonly trustedRoots: TrustedRoots;
  readonly onBundle: (bundle: ToldBundle) => void;
}

/** Opens them; undefined where somebody else puts them there. @throws CERTIFICATE_INVALID */
export async function dpRoots(
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
  { certificates }: DpConfig,
): Promise<DpRoots | undefined> {
  if (!isKeptByAgent(certificates)) return undefined;
  const trustedRoots = await TrustedRoots.open(certificates.caFile, clock);
  const onBundle = (bundle: ToldBundle) => {
    void takeBundle(trustedRoots, bundle, logger);
  };
  return { trustedRoots, onBundle };
}

/** Never fails for what it is told, and tells the failure of a disk: it is told again at the next start. */
async function takeBundle(roots: TrustedRoots, bundle: ToldBundle, logger: Logger): Promise<void> {
  try {
    const verdict = await roots.take(decodeTrustBundle(Buffer.from(bundle.base64, 'base64')));
    const { generation } = roots.held;
    if (verdict.kind === 'newer') logger.info({ generation }, 'Trusts other roots from now on');
    if (verdict.kind === 'refused') {
      logger.warn({ generation, reason: verdict.reason }, 'A trust bundle is not believed');
    }
  } catch (err) {
    logger.error({ err }, 'The roots to trust could not be written');
  }
}

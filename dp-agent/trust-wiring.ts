/** The wiring of whom a DP trusts, as its site says (docs/trust.md, 5 and 6). */
import { resolve } from 'node:path';
import { decodeTrustBundle } from '../shared/certificates/trust-bundle.ts';
import { TrustedRoots } from '../shared/certificates/trusted-roots.ts';
import type { ToldBundle } from '../shared/domain/told-trust.ts';
import type { Clock } from '../shared/runtime/clock.ts';
import type { Logger } from '../shared/runtime/logger.ts';
import type { StateStore } from '../shared/state-store/state-store.ts';
import type { DpConfig } from './dp-config.ts';
import { ToldTrustKeeper } from './told-trust/told-trust.ts';

/**
 * Makes what keeps and obeys the site's word. Roots are taken into `roots.crt`, from where they are used, when the
 * DP's identity is its own: key and certificate in one file.
 *
 * @throws CERTIFICATE_INVALID when the roots cannot be read
 */
export async function toldTrustKeeper(
  needs: {
    readonly store: StateStore;
    readonly clock: Clock;
    /** The logger of a component. */
    readonly child: (component: string) => Logger;
  },
  { siteCode, certificates }: DpConfig,
): Promise<ToldTrustKeeper> {
  const { store, clock, child } = needs;
  const logger = child('told-trust');
  const told = { store, clock, siteCode, logger };
  const { caFile, certificateFile, keyFile } = certificates;
  if (resolve(certificateFile) !== resolve(keyFile)) return new ToldTrustKeeper(told);
  const roots = await TrustedRoots.open(caFile, clock);
  return new ToldTrustKeeper({
    ...told,
    onBundle: (bundle) => {
      void takeBundle(roots, bundle, logger);
    },
  });
}

/** A bundle is told again whenever the site is reached anew; so a failure is not the end of it. */
async function takeBundle(roots: TrustedRoots, { base64 }: ToldBundle, logger: Logger) {
  try {
    const verdict = await roots.take(decodeTrustBundle(Buffer.from(base64, 'base64')));
    if (verdict.kind === 'newer') {
      logger.info({ generation: verdict.bundle.generation }, 'Trusts other roots from now on');
    } else if (verdict.kind === 'refused') {
      logger.warn({ reason: verdict.reason }, 'A trust bundle is not believed');
    }
  } catch (err) {
    logger.error({ err }, 'The roots to trust could not be written');
  }
}

/** The wiring of what a DP imports from prestaged files. */
import type { ContentLibrary } from '../shared/content-library/content-library.ts';
import { authoritiesOf } from '../shared/rpc/certificate-trust.ts';
import type { Conversation } from '../shared/rpc/conversation.ts';
import type { PeerCredentials } from '../shared/rpc/peer-credentials.ts';
import type { Clock } from '../shared/runtime/clock.ts';
import type { Component } from '../shared/runtime/component.ts';
import type { Logger } from '../shared/runtime/logger.ts';
import type { DpConfig } from './dp-config.ts';
import { HeldImports } from './prestaged-content/held-imports.ts';
import { prestagedConversation } from './prestaged-content/prestaged-conversation.ts';
import { PrestagedImport } from './prestaged-content/prestaged-import.ts';

/** What importing is made of. */
export interface PrestagedParts {
  /** Starts after the library. */
  readonly held: Component;
  readonly answers: Pick<Conversation<'DistributionPoint'>, 'importPrestaged'>;
}

/** Makes the parts that import prestaged files. */
export function prestagedParts(
  needs: {
    readonly library: ContentLibrary;
    readonly credentials: PeerCredentials;
    readonly clock: Clock;
    /** The logger of a component. */
    readonly child: (component: string) => Logger;
  },
  config: DpConfig,
): PrestagedParts {
  const { library, credentials, clock, child } = needs;
  const { dpId, siteCode, reserveBytes, sweepIntervalMs, prestagedKeptMs: keptMs } = config;
  const logger = child('prestaged-content');
  const held = new HeldImports({ library, clock, logger }, { keptMs, sweepIntervalMs });
  const authorities = () => authoritiesOf(credentials.ca);
  const prestaged = new PrestagedImport(
    { library, held, authorities, clock, logger },
    { reserveBytes },
  );
  return { held, answers: prestagedConversation({ prestaged, clock, dpId, siteCode }) };
}

/** The wiring of the site's server, and of what it serves to those who fetch content from it. */
import { ContentServer } from '../shared/content-server/content-server.ts';
import type { PieceSource } from '../shared/content-source/piece-source.ts';
import { servingPassage } from '../shared/domain/transfer-passage.ts';
import { RpcServer } from '../shared/rpc/rpc-server.ts';
import type { Component } from '../shared/runtime/component.ts';
import { PassageHours } from '../shared/transfer-arbiter/passage-hours.ts';
import { ServingLimit } from './serving-limit/serving-limit.ts';
import type { Ground } from './site-ground.ts';

export interface SiteServing {
  readonly contentServer: ContentServer;
  /** Start in this order, after the settings and before the server. */
  readonly components: readonly Component[];
}

/** Makes what gives content to whoever asks, within the limit of the site. */
export function siteServing(
  ground: Ground,
  transfers: { readonly pieceSource: PieceSource },
): SiteServing {
  const { arbiter, clock, settings, library } = ground;
  const hours = new PassageHours({ arbiter, clock }, servingPassage);
  const limit = new ServingLimit({ arbiter, settings }, settings.live('serving'));
  const logger = ground.logOf('content-server');
  const controls = { arbiter, hours };
  const contentServer = new ContentServer({
    ...{ ...ground, ...transfers, controls, logger },
    deltas: library,
  });
  return { contentServer, components: [limit, hours] };
}

/** The server of this site, with nothing to serve yet. */
export function siteRpcServer(ground: Ground): RpcServer {
  const { auditTrail, config, credentials, trust } = ground;
  return new RpcServer(
    {
      ...{ credentials, trust, logger: ground.logOf('rpc') },
      onAudit: (event) => auditTrail.record(event),
    },
    { address: config.listen, siteCode: config.siteCode },
  );
}

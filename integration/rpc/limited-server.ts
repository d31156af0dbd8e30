import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import { defaultPeerLimits, type PeerLimits } from '../../shared/rpc/peer-limits.ts';
import type { PeerTrust } from '../../shared/rpc/peer-trust.ts';
import type { RpcServer } from '../../shared/rpc/rpc-server.ts';
import { RawHttp2, type Target } from '../raw-http2.ts';
import { site, type TrustCircle } from './trust-circle.ts';

export const deadlineMs = 20_000;
export const putManifest = '/waybill.v1.DistributionPoint/PutManifest';
export const check = '/waybill.v1.DistributionPoint/Check';

/** A server with these limits in place of the usual ones, looked at often. */
export async function serve(
  circle: TrustCircle,
  limits: Partial<PeerLimits>,
  options: { credentials?: PeerCredentials; trust?: PeerTrust } = {},
): Promise<RpcServer> {
  return circle.serve(
    'DistributionPoint',
    {
      check: async () => ({}),
      putManifest: async (requests) => {
        for await (const _ of requests);
        return {};
      },
    },
    { ...options, peerLimits: { ...defaultPeerLimits, lookMs: 20, ...limits } },
  );
}

/** Somebody who keeps none of the rules, and an honest channel beside him. */
export async function opponents(circle: TrustCircle, server: RpcServer, identity = site) {
  const target = { address: server.address, credentials: await circle.credentials(identity) };
  const channel = await circle.channel('DistributionPoint', server.address);
  const isWell = () => channel.unary('check', {}, { deadlineMs });
  return { raw: await RawHttp2.open(target), target, isWell, channel };
}

/** Whether a new connection is closed before the server says its settings. */
export async function isTurnedAway(target: Target): Promise<boolean> {
  const raw = await RawHttp2.connect(target).catch(() => undefined);
  if (!raw) return true;
  const settings = new Promise<boolean>((resolve) => raw.socket.once('data', () => resolve(false)));
  const closed = new Promise<boolean>((resolve) => raw.socket.once('close', () => resolve(true)));
  const isOver = await Promise.race([settings, closed]);
  raw.socket.destroy();
  return isOver;
}

export const overLimit = (circle: TrustCircle) =>
  circle.audit.filter(({ result }) => result === 'PEER_OVER_LIMIT').map(({ detail }) => detail);

/** Resolves when the audit trail has a record that says so. */
export async function told(circle: TrustCircle, pattern: RegExp): Promise<void> {
  for (const untilMs = performance.now() + deadlineMs; ; await sleep(10)) {
    if (overLimit(circle).some((detail) => pattern.test(detail))) return;
    assert.ok(performance.now() < untilMs, overLimit(circle).join('\n'));
  }
}

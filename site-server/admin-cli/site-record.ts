import type { Route__Output } from '../../shared/rpc/generated/waybill/v1/Route.ts';
import type { SiteRecord__Output } from '../../shared/rpc/generated/waybill/v1/SiteRecord.ts';
import type { Tone } from '../../shared/runtime/text-style.ts';
import type { Admin } from './admin.ts';
import { CommandFailure } from './command-failure.ts';
import { toControlsRecord } from './control-view.ts';
import { toCountOf, toWaitText } from './units.ts';
import { toCount, toWord } from './wire-values.ts';

/** A site of the hierarchy, as `--json` shows it. */
export type SiteRecord = ReturnType<typeof toSiteRecord>;

/** A site as it came from the site server. */
export function toSiteRecord(wire: SiteRecord__Output) {
  return {
    siteCode: wire.siteCode,
    kind: toWord('SITE_KIND_', wire.kind),
    parentSiteCode: wire.parentSiteCode,
    address: wire.address,
    description: wire.description,
    agentVersion: wire.agentVersion,
    signingKeyIds: wire.signingKeyIds,
    distributionPointCount: wire.distributionPointCount,
    replication: toReplication(wire.replication),
  };
}

/** How it stands with a neighbour of the site that answers; null for others. */
function toReplication(wire: SiteRecord__Output['replication']) {
  if (!wire) return null;
  return {
    connected: wire.connected,
    reason: wire.reason,
    changesBehind: toCount(wire.changesBehind, 'changes_behind'),
    behindMs: toCount(wire.behindMs, 'behind_ms'),
    heardAtMs: toCount(wire.heardAtMs, 'heard_at_ms'),
  };
}

/** A route, as `--json` shows it. */
export function toRouteRecord({ fromSiteCode, toSiteCode, addresses, controls }: Route__Output) {
  return { fromSiteCode, toSiteCode, addresses, controls: toControlsRecord(controls) };
}

const namedMax = 20;

/** One site of the hierarchy. @throws CommandFailure SITE_UNKNOWN naming those there are */
export async function requireSite(admin: Admin, siteCode: string): Promise<SiteRecord> {
  const all = await admin.list('listSites', {});
  const wire = all.find((one) => one.siteCode === siteCode);
  if (wire) return toSiteRecord(wire);
  const codes = all.map((one) => one.siteCode);
  const left = codes.length - namedMax;
  const known = codes.slice(0, namedMax).join(', ') + (left > 0 ? ` and ${left} more` : '');
  const message = `There is no site ${siteCode}; there ${codes.length === 1 ? 'is' : 'are'} ${known}. "waybill site add" makes one known`;
  throw new CommandFailure('SITE_UNKNOWN', message, { siteCode });
}

/** `in step`, `12 changes, 3 s behind`, `not connected: …`; empty for one that is no neighbour. */
export function toReplicationText({ replication }: SiteRecord): string {
  if (!replication) return '';
  const { connected, reason, changesBehind, behindMs } = replication;
  const behind =
    changesBehind > 0
      ? `${toCountOf(changesBehind, 'change')}, ${toWaitText(behindMs)} behind`
      : 'in step';
  if (connected) return reason === '' ? behind : `${behind}: ${reason}`;
  const why = reason === '' ? 'not connected' : `not connected: ${reason}`;
  return changesBehind > 0 ? `${why}; ${behind}` : why;
}

/** `in step`, `12 changes behind`, `not connected`: what there is room for in a row. */
export function toReplicationCell({ replication }: SiteRecord): string {
  if (!replication) return '';
  const { connected, changesBehind } = replication;
  if (!connected) return 'not connected';
  return changesBehind > 0 ? `${toCountOf(changesBehind, 'change')} behind` : 'in step';
}

/** Why it stands so with a neighbour, below the table: `PS2 not connected: …`. */
export function toReasonTexts(site: SiteRecord): string[] {
  const { replication } = site;
  const isSaid = !replication || (replication.connected && replication.reason === '');
  return isSaid ? [] : [`${site.siteCode} ${toReplicationText(site)}.`];
}

export function toneOfReplication({ replication }: SiteRecord): Tone | undefined {
  if (!replication) return undefined;
  if (!replication.connected) return 'bad';
  return replication.changesBehind > 0 ? 'busy' : 'good';
}

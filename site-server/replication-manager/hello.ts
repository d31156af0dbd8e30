import type { NeighbourState } from '../../shared/domain/change-log.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { parseSiteCode, type SiteKind } from '../../shared/domain/site.ts';
import type {
  ReplicationHello,
  ReplicationHello__Output,
} from '../../shared/rpc/generated/waybill/v1/ReplicationHello.ts';
import { siteKindNames } from '../admin-service/enum-tables.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import { invalid, requireCount, requireOrigin } from './change-check.ts';
import type { ChangeLog } from './change-log.ts';
import type { MessageLog } from './message-log.ts';
import type { Cursors } from './outgoing-changes.ts';
import { originCountMax, replicationLayout } from './replication-config.ts';

/** What a Hello says, checked. */
export interface NeighbourHello {
  readonly siteCode: string;
  readonly cursors: Cursors;
}

/** What making a Hello needs. */
export interface HelloNeeds {
  readonly directory: Pick<SiteDirectory, 'own' | 'tree'>;
  readonly log: ChangeLog;
  readonly messages: MessageLog;
  readonly nowMs: number;
}

/** What this site says first to a neighbour. */
export function ownHello(needs: HelloNeeds, neighbour: NeighbourState): ReplicationHello {
  const { siteCode, kind, parent } = needs.directory.own;
  const { log, messages } = needs;
  const cursors = log.origins().map((origin) => ({
    originSiteCode: origin,
    sequence: origin === siteCode ? ownCursor(log, neighbour) : log.headOf(origin),
    messageSerial: messages.headOf(origin),
  }));
  return {
    ...{ siteCode, kind: siteKindNames[kind], parentSiteCode: parent?.siteCode ?? '', cursors },
    ...{ layout: replicationLayout, nowMs: needs.nowMs },
  };
}

/** What this site has of its own changes: all, unless the neighbour may know some that it lost. */
export function ownCursor({ capture }: ChangeLog, { refilledLife }: NeighbourState): number {
  return refilledLife === capture.life ? capture.lastSequence : 0;
}

/**
 * What the parent says of itself.
 *
 * @throws MESSAGE_INVALID, PEER_IDENTITY_MISMATCH, SITE_PARENT_MISMATCH, REPLICATION_LAYOUT
 */
export function checkedParentHello(
  hello: ReplicationHello__Output,
  directory: Pick<SiteDirectory, 'own' | 'tree'>,
): NeighbourHello {
  const parent = directory.own.parent?.siteCode ?? '';
  const checked = checkedHello(hello);
  requireSite(checked.siteCode, parent);
  const defined = directory.tree.get(parent);
  // Where the parent itself stands it may know better: this site hears of it only from there.
  if (defined) requireKind(hello, defined.kind, hello.parentSiteCode);
  return checked;
}

/**
 * What a child says of itself; it is what an administrator made known.
 *
 * @param certified the site of its certificate
 * @throws MESSAGE_INVALID, PEER_IDENTITY_MISMATCH, SITE_UNKNOWN, SITE_PARENT_MISMATCH,
 *   REPLICATION_LAYOUT
 */
export function checkedChildHello(
  hello: ReplicationHello__Output,
  certified: string,
  { own, tree }: Pick<SiteDirectory, 'own' | 'tree'>,
): NeighbourHello {
  const checked = checkedHello(hello);
  const { siteCode } = checked;
  requireSite(certified, siteCode);
  const defined = tree.get(siteCode);
  if (!defined || siteCode === own.siteCode)
    throw new WaybillError({ code: 'SITE_UNKNOWN', siteCode });
  requireKind(hello, defined.kind, defined.parentSiteCode);
  if (defined.parentSiteCode !== own.siteCode) {
    throw mismatch(
      siteCode,
      siteText(defined.kind, defined.parentSiteCode),
      'a child of this site',
    );
  }
  return checked;
}

function checkedHello(hello: ReplicationHello__Output): NeighbourHello {
  const siteCode = parseSiteCode(hello.siteCode);
  if (siteCode === undefined) throw invalid('site_code', 'a site code', hello.siteCode);
  const { layout, cursors: received } = hello;
  if (layout !== replicationLayout) {
    const layouts = { layoutFound: layout, layoutKnown: replicationLayout };
    throw new WaybillError({ code: 'REPLICATION_LAYOUT', siteCode, ...layouts });
  }
  if (received.length > originCountMax) {
    throw invalid('cursors', `at most ${originCountMax}`, `${received.length}`);
  }
  const cursors = new Map(
    received.map((cursor) => [
      requireOrigin(cursor.originSiteCode),
      {
        sequence: requireCount('sequence', cursor.sequence),
        messageSerial: requireCount('message_serial', cursor.messageSerial),
      },
    ]),
  );
  return { siteCode, cursors };
}

function requireSite(actual: string, expected: string): void {
  if (actual === expected) return;
  const facts = { expected: `site ${expected}`, actual: `site ${actual}`, address: 'the stream' };
  throw new WaybillError({ code: 'PEER_IDENTITY_MISMATCH', ...facts });
}

function requireKind(hello: ReplicationHello__Output, kind: SiteKind, parent: string): void {
  const { siteCode, parentSiteCode } = hello;
  const said = (Object.keys(siteKindNames) as SiteKind[]).find(
    (one) => siteKindNames[one] === hello.kind,
  );
  if (said === kind && parentSiteCode === parent) return;
  const shown = parentSiteCode === '' || parseSiteCode(parentSiteCode) ? parentSiteCode : '?';
  throw mismatch(siteCode, siteText(kind, parent), siteText(said ?? 'primary', shown));
}

function mismatch(siteCode: string, expected: string, actual: string): WaybillError {
  return new WaybillError({ code: 'SITE_PARENT_MISMATCH', siteCode, expected, actual });
}

function siteText(kind: SiteKind, parentSiteCode: string): string {
  const parent = parentSiteCode === '' ? 'without a parent' : `with parent ${parentSiteCode}`;
  return `a ${kind} site ${parent}`;
}

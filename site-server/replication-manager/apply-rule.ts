import type { RowVersion } from '../../shared/domain/change-log.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { SiteDefinition } from '../../shared/domain/site.ts';
import type { SiteTree } from '../../shared/domain/site-tree.ts';
import type { CheckedRow } from './change-check.ts';
import type { FullCopyReceiver } from './full-copy-receiver.ts';
import {
  type OwnedRow,
  publishedOf,
  type RaisedRow,
  type RankedRow,
} from './owned-row-authority.ts';
import { type RowName, rowIdOf } from './replicated-rows.ts';
import { isToBeGone, type SiteRow } from './site-row-authority.ts';

/** Who sends, as far as it matters what is taken of it. */
export interface Sender {
  readonly siteCode: string;
  /** Whether an origin is on the sender's side of the hierarchy. */
  readonly isOnItsSide: (origin: string) => boolean;
  /** Whether it may pass on status messages. */
  readonly isBelow: boolean;
  /** Up to where it has given back this site's own changes, on this stream. */
  refilledThrough: number;
  /** Up to where it may: what it said that it knows of them. */
  readonly refillUntil: number;
  /** Whether a row of this site's own is taken back from it. */
  readonly mayRefill: (name: RowName) => boolean;
  /** The hierarchy as it is known here. */
  readonly tree: () => SiteTree;
  /** Whether this site has lost what it knew, and hears it again from below. */
  readonly isHeardAnew: () => boolean;
  /** Why a row of "sites" may not be of its origin; undefined when it may. */
  readonly siteRowProblem: (tree: SiteTree, row: SiteRow) => string | undefined;
  /** The same of rows that belong to a site, though any may write them. */
  readonly ownedRowProblem: (tree: SiteTree, row: OwnedRow) => string | undefined;
  /** What becomes of such a row though what is here is later; undefined: what is here stands. */
  readonly raisedRow: (tree: SiteTree, row: RankedRow) => RaisedRow | undefined;
  /** Whether what is here may be outdated, and the parent has not heard it yet, which may know better. */
  readonly isUnjudged: (held: RowVersion) => boolean;
  /** What becomes of what is here of such a row though the row is later; undefined: the row is taken. */
  readonly keptRow: (tree: SiteTree, row: RankedRow) => { readonly value: unknown } | undefined;
  /** A row was not taken: this site's was said anew, or there was no room for it. */
  readonly onOverruled: (error: WaybillError) => void;
  readonly copy: FullCopyReceiver;
}

/** Rows as they are here, by `rowIdOf`. */
export type RowValues = ReadonlyMap<string, unknown>;

/** What becomes of a row: raised, what the earlier one says is said with a new time, with what the later one sets. */
export type Verdict = 'taken' | 'passed-over' | { readonly problem: string } | Raised;

/** What is said anew of a row, later than all that was said, unless it is given back. */
export interface Raised {
  readonly raised: RaisedRow;
}

/** A row of a message, and what becomes of it. */
export interface Judged {
  readonly row: CheckedRow;
  /** What is here of it. */
  readonly before: RowVersion | undefined;
  readonly verdict: Verdict;
}

/** What of what is here of a row matters for who may change it. */
export interface HeldRow {
  /** Who has said it; undefined: nobody. */
  readonly by: string | undefined;
  /** The site that it belongs to was there, and was taken out. */
  readonly isOwnerGone: boolean;
}

/** What becomes of a row that may be applied. */
export interface ApplyRule {
  /** Whether a row that is not here is known to have been deleted. */
  readonly isGone: (version: RowVersion) => boolean;
  /** The row is this site's own, which lost it. */
  readonly isRefill: boolean;
  /** A site below brings it. */
  readonly isFromBelow: boolean;
  /** Why a row is not taken, and this site's said anew; undefined when it may be. */
  readonly problemOf: (row: CheckedRow) => string | undefined;
  /** Whether nothing is said about a row that is not taken. */
  readonly isUnanswered: (row: CheckedRow, held: RowVersion | undefined) => boolean;
  /** Whether what is here may be outdated: it is not said anew before the parent has had its word. */
  readonly isUnjudged: (held: RowVersion) => boolean;
  /** The same as `problemOf`, where it matters what is here: the rows to judge it by. */
  readonly ownedProblemOf: (
    row: CheckedRow,
    values: RowValues,
    held: HeldRow,
  ) => string | undefined;
  /** What becomes of a row that is earlier than what is here; undefined: nothing. */
  readonly raisedOf: (row: CheckedRow, held: RowVersion, values: RowValues) => Raised | undefined;
  /** What becomes of what is here though a row is later; undefined: the row may be taken. */
  readonly keptOf: (row: CheckedRow, held: RowVersion, values: RowValues) => Raised | undefined;
  /** Whether a row that is later counts for nothing all the same, without a word about it. */
  readonly isPassedOver: (row: CheckedRow, held: RowVersion | undefined) => boolean;
  /** A row will be as the message says. */
  readonly onTaken: (row: CheckedRow) => void;
  readonly onOverruled: (row: CheckedRow, reason: string) => void;
}

export const plainRule: ApplyRule = {
  ...{ isGone: () => false, isRefill: false, isFromBelow: false },
  ...{ problemOf: () => undefined, ownedProblemOf: () => undefined, onOverruled: () => {} },
  ...{ raisedOf: () => undefined, keptOf: () => undefined, isPassedOver: () => false },
  ...{ isUnanswered: () => false, isUnjudged: () => false, onTaken: () => {} },
};
export const refillRule: ApplyRule = { ...plainRule, isRefill: true };

/**
 * What is to be heeded of rows that this sender brings in one message, and that not every site may change. They are
 * judged by the hierarchy as the message leaves it, as far as its rows were taken: `inTurn`.
 */
export function ruleOf(
  sender: Sender,
  { isFullCopy = false } = {},
): Omit<ApplyRule, 'isGone' | 'isRefill'> {
  const before = sender.tree();
  let tree = before;
  const isOwnerOut = ({ key }: RowName) => isTakenOut(before, tree, key.slice(0, 3));
  // Sites that have been at work for long come again then, not those that were just made.
  const isHeardAnew = isFullCopy || sender.isHeardAnew();
  return {
    isFromBelow: sender.isBelow,
    problemOf: (row) =>
      row.name.table === 'sites' ? sender.siteRowProblem(tree, siteRowOf(row)) : undefined,
    isUnanswered: (row, held) => {
      const isNew = row.name.table === 'sites' && (held?.isDeleted ?? true);
      return isNew && (isHeardAnew || !isToBeGone(tree, siteRowOf(row)));
    },
    isUnjudged: (held) => sender.isUnjudged(held),
    onTaken: ({ name, value }) => {
      if (name.table === 'sites') tree = tree.with(name.key, value as SiteDefinition | undefined);
    },
    ownedProblemOf: (row, values, { by, isOwnerGone }) => {
      const owned = { ...ownedRowOf(row, values), heldBy: by };
      const isGone = isOwnerGone || isOwnerOut(row.name);
      return sender.ownedRowProblem(tree, { ...owned, isOwnerGone: isGone });
    },
    raisedOf: (row, held, values) => {
      if (row.name.table === 'sites') {
        const isRaised = isMadeAfterAll(row, held) && !sender.siteRowProblem(tree, siteRowOf(row));
        return isRaised ? { raised: { value: row.value } } : undefined;
      }
      const raised = sender.raisedRow(tree, rankedRowOf(row, held, values));
      return raised && { raised };
    },
    keptOf: (row, held, values) => {
      const raised = sender.keptRow(tree, rankedRowOf(row, held, values));
      return raised && { raised };
    },
    isPassedOver: (row, held) => {
      const isIdle = row.version.isDeleted && (held?.isDeleted ?? true);
      // Of a site that is not known here one without a say may have said it, against the site above it.
      return row.name.table === 'sites' && sender.isBelow && isIdle;
    },
    onOverruled: (row, reason) => sender.onOverruled(rowRefused(row, reason)),
  };
}

/** That a row is not taken. */
export function rowRefused({ name, version }: CheckedRow, reason: string): WaybillError {
  const { siteCode } = version.changedAt;
  const facts = { siteCode, row: rowIdOf(name), reason };
  return new WaybillError({ code: 'REPLICATION_ROW_REFUSED', ...facts });
}

/**
 * The rows of a message as they are judged: first which sites go, since that makes room for others, then which come,
 * then what depends on them.
 */
export function inTurn(rows: readonly CheckedRow[]): CheckedRow[] {
  const rank = ({ name, version }: CheckedRow) => {
    if (name.table !== 'sites') return 2;
    return version.isDeleted ? 0 : 1;
  };
  return [...rows].sort((a, b) => rank(a) - rank(b));
}

/**
 * Whether a site was made known by somebody, though another one was refused it before that was heard here. Whether he
 * may is another question.
 */
function isMadeAfterAll({ value }: CheckedRow, held: RowVersion): boolean {
  return held.isOfNothing === true && value !== undefined;
}

/** Whether a message takes a site out. */
function isTakenOut(before: SiteTree, after: SiteTree, siteCode: string): boolean {
  return before.get(siteCode) !== undefined && after.get(siteCode) === undefined;
}

function siteRowOf({ name, value, version }: CheckedRow): SiteRow {
  const definition = value as SiteDefinition | undefined;
  return { origin: version.changedAt.siteCode, siteCode: name.key, definition };
}

function ownedRowOf({ name, value, version }: CheckedRow, values: RowValues): OwnedRow {
  const before = values.get(rowIdOf(name));
  const published = values.get(rowIdOf(publishedOf(name)));
  return { name, value, before, published, origin: version.changedAt.siteCode };
}

function rankedRowOf(row: CheckedRow, held: RowVersion, values: RowValues): RankedRow {
  return { ...ownedRowOf(row, values), held, isRenumbered: row.version.isRenumbered ?? false };
}

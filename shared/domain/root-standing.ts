/**
 * Who stands on an older root while the root changes, of those whom one site vouches for: the row of the
 * replicated table "root standings", said by that site.
 */
export interface RootStanding {
  readonly siteCode: string;
  /** Of the roots that the site trusted when it looked. */
  readonly generation: number;
  /** See `holderOf`; by name, at most `standingNamesMax`. */
  readonly behind: readonly string[];
  /** How many there are in all. */
  readonly behindCount: number;
}

/** Names in one row; the others are counted. */
export const standingNamesMax = 500;

/** What is known at the top of who would be cut off if the older root counted no more. */
export interface StandingReport {
  readonly seenAtMs: number;
  readonly generation: number;
  /** Of sites that have somebody on an older root, by site code. */
  readonly standings: readonly RootStanding[];
  /** Sites that have not said how it stands there, with the roots as they are now. */
  readonly silent: readonly string[];
}

/** Whether nobody would be cut off. */
export function isNobodyBehind({ standings, silent }: StandingReport): boolean {
  return standings.length === 0 && silent.length === 0;
}

/**
 * What sites have said, as one report.
 *
 * @param siteCodes all sites of the hierarchy
 */
export function toStandingReport(
  rows: readonly RootStanding[],
  facts: {
    readonly seenAtMs: number;
    readonly generation: number;
    readonly siteCodes: readonly string[];
  },
): StandingReport {
  const { seenAtMs, generation, siteCodes } = facts;
  const said = rows.filter(
    (row) => row.generation === generation && siteCodes.includes(row.siteCode),
  );
  const heard = new Set(said.map(({ siteCode }) => siteCode));
  return {
    ...{ seenAtMs, generation },
    standings: said.filter(({ behindCount }) => behindCount > 0).sort(bySite),
    silent: siteCodes.filter((siteCode) => !heard.has(siteCode)).sort(),
  };
}

function bySite(one: RootStanding, other: RootStanding): number {
  return one.siteCode < other.siteCode ? -1 : 1;
}

/**
 * That the content of a package was imported here from a prestaged file: the row of table "prestaged
 * packages". Until its time is over the content stays, though no DP of this site is to have it.
 */
export interface PrestagedHold {
  readonly packageId: string;
  readonly sourceVersion: number;
  readonly importedAtMs: number;
  readonly keptUntilMs: number;
}

/** Whether content that nobody wants here still stays. @param hold undefined: it was not imported */
export function isKept(hold: PrestagedHold | undefined, nowMs: number): boolean {
  return hold !== undefined && nowMs < hold.keptUntilMs;
}

/** What a prestaged file carries, and who made it. */
export interface PrestagedVersion {
  readonly sourceVersion: number;
  readonly packageHash: string;
  readonly sourceSiteCode: string;
  readonly exportingSiteCode: string;
}

/**
 * Whether what a file is said to carry is the word of its source site, as a signature of the site that
 * made the file is not: unless that is the source site itself, the version and its hash have to be what the
 * source site has published.
 */
export function isWordOfSource(
  version: PrestagedVersion,
  published: { readonly sourceVersion: number; readonly packageHash: string } | undefined,
): boolean {
  const isPublished = published?.sourceVersion === version.sourceVersion;
  if (isPublished) return published.packageHash === version.packageHash;
  return version.exportingSiteCode === version.sourceSiteCode;
}

/** Why a delta cannot be used on top of what is held, as the end of a sentence; undefined: it can. */
export function refusalOfBase(of: {
  readonly packageId: string;
  readonly baseVersion: number;
  /** 0: nothing of the package. */
  readonly heldVersion: number;
}): string | undefined {
  const { packageId, baseVersion, heldVersion } = of;
  if (baseVersion === 0 || baseVersion === heldVersion) return undefined;
  const isHeld = heldVersion > 0 ? `version ${heldVersion} is here` : 'none of it is here';
  const instead = heldVersion > 0 ? `, or with "--since ${heldVersion}"` : '';
  return `it has only what changed since version ${baseVersion} of package ${packageId}, and ${isHeld}; expected a file exported without "--since"${instead}`;
}

/** Place of a site in the hierarchy. */
export type SiteKind = 'central-administration' | 'primary' | 'secondary';

/** The text itself when it is a site code (three of A-Z and 0-9), else undefined. */
export function parseSiteCode(text: string): string | undefined {
  return /^[A-Z0-9]{3}$/.test(text) ? text : undefined;
}

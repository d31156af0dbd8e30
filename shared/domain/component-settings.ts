/**
 * What an administrator has set for the components of a site, above its configuration file: the row of
 * the replicated table "component settings". Absent: as the site's configuration says.
 */
export interface ComponentSettings {
  readonly siteCode: string;
  /** By the name the setting has in docs/settings.md; each within the range that stands there. */
  readonly values: Readonly<Record<string, number>>;
}

/** What an administrator may ask for at most: docs/limits.md. A character is a Unicode code point. */
export const requestLimits = {
  /** Name of a package, in characters; at least one. */
  packageNameCharsMax: 256,
  /** Version, manufacturer and language of a package, in characters each. */
  shortTextCharsMax: 256,
  /** Description of a package or distribution point, in characters. */
  descriptionCharsMax: 4_096,
  /** Programs of a package. */
  programCountMax: 100,
  /** Name of a program, in characters; at least one. */
  programNameCharsMax: 256,
  /** Command line of a program, in characters; at least one. */
  commandLineCharsMax: 8_191,
  /** Icon of a package, in bytes. */
  iconBytesMax: 256 * 1024,
  /** Source directories of a package; at least one. */
  sourceCountMax: 100,
  /** Path of a source directory, in bytes of UTF-8. */
  sourcePathBytesMax: 4_095,
  /** Properties and source directories of a package together, as JSON, in bytes. */
  packageBytesMax: 983_040,
  /** Distribution points named in one request. */
  targetCountMax: 1_000,
  /** Jobs named in one request. */
  jobCountMax: 1_000,
  /** Addresses of a route between two sites. */
  routeAddressCountMax: 16,
  /** Groups of DPs. */
  groupCountMax: 1_000,
  /** DPs of a group. */
  groupMemberCountMax: 10_000,
  /** DPs, and sites, of a link. */
  linkMemberCountMax: 1_000,
  /** Status messages, audit records or lines of a log in one answer. */
  listCountMax: 10_000,
} as const;

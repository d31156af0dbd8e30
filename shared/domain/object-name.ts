/** The text itself when it can name a group or a link: 1 to 63 letters, digits, dots and hyphens. */
export function parseObjectName(text: string): string | undefined {
  return /^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$/.test(text) ? text : undefined;
}

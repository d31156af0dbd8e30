/** What Debian's package manager is told of a package. */
export interface ControlFields {
  readonly name: string;
  readonly version: string;
  /** Debian's word for the kind of machine, or `all`. */
  readonly architecture: string;
  /** Each as it stands in the field, such as `libc6 (>= 2.28)`. */
  readonly depends: readonly string[];
  readonly breaks: readonly string[];
  readonly installedKib: number;
  /** One line, without the name. */
  readonly summary: string;
  /** Paragraphs. */
  readonly description: readonly string[];
}

const maintainer = 'Waybill developers <packages@waybill.example>';
const lineCharactersMax = 78;

/** The text of a control file. Fields without a value are left out. */
export function controlText(fields: ControlFields): string {
  const { name, version, architecture, depends, breaks, installedKib, summary } = fields;
  const lines: [field: string, value: string][] = [
    ['Package', name],
    ['Version', version],
    ['Architecture', architecture],
    ['Maintainer', maintainer],
    ['Installed-Size', String(installedKib)],
    ['Depends', depends.join(', ')],
    ['Breaks', breaks.join(', ')],
    ['Section', 'admin'],
    ['Priority', 'optional'],
    ['Description', `${summary}\n${fields.description.map(paragraph).join('\n .\n')}`],
  ];
  return lines
    .filter(([, value]) => value !== '')
    .map(([field, value]) => `${field}: ${value}\n`)
    .join('');
}

/** The text in lines that begin with a space, as a field continues. */
function paragraph(text: string): string {
  const lines: string[] = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + 1 + word.length > lineCharactersMax) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.map((line) => ` ${line}`).join('\n');
}

/**
 * The changelog that Debian's policy asks for, with its one entry.
 *
 * @param epochSeconds when the version was made
 */
export function changelogText(name: string, version: string, epochSeconds: number): string {
  const date = new Date(epochSeconds * 1_000).toUTCString().replace('GMT', '+0000');
  return `${name} (${version}) stable; urgency=medium\n\n  * This version.\n\n -- ${maintainer}  ${date}\n`;
}

/** A version as Debian takes it: digits first, then letters, digits and a few signs; no revision. */
export function isDebianVersion(version: string): boolean {
  return /^[0-9][A-Za-z0-9.+~]*$/.test(version) && version.length <= 100;
}

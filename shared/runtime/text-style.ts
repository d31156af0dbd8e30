import { styleText } from 'node:util';

/** How important a text is; which colour that is, `paintFor` decides. */
export type Tone = 'good' | 'busy' | 'bad' | 'quiet' | 'heading';

/** Puts a tone on text, or leaves it as it is where there are no colours. */
export type Paint = (tone: Tone, text: string) => string;

const styles = {
  good: 'green',
  busy: 'yellow',
  bad: 'red',
  quiet: 'dim',
  heading: 'bold',
} as const satisfies Record<Tone, Parameters<typeof styleText>[0]>;

/** Colours for a terminal; none elsewhere, with NO_COLOR, or where the terminal has none. */
export function paintFor(
  stream: { readonly isTTY?: boolean },
  environment: Readonly<Record<string, string | undefined>>,
): Paint {
  const isPlain = Boolean(environment.NO_COLOR) || environment.TERM === 'dumb';
  if (stream.isTTY !== true || isPlain) return (_tone, text) => text;
  return (tone, text) => styleText(styles[tone], text, { validateStream: false });
}

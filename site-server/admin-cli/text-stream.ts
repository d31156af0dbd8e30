/** Where text goes: `process.stdout`, or a test's record of it. */
export interface TextStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  /** Size of the terminal; absent when it is none. */
  readonly columns?: number;
  readonly rows?: number;
}

/** A terminal's size. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** The size of the stream's terminal, as it is now. */
export function sizeOf(stream: TextStream): TerminalSize {
  return { columns: stream.columns || 80, rows: stream.rows || 24 };
}

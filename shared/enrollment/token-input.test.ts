import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { isAbortError } from '../runtime/abort-error.ts';
import { readToken, TokenInputEnded, type TokenStream } from './token-input.ts';

/** Standard input that gives these parts. */
function stdinOf(
  parts: readonly string[],
  terminal?: { rawModes: boolean[] },
): TokenStream & { readCount: number } {
  return {
    readCount: 0,
    ...(terminal && { isTTY: true }),
    setRawMode: (isRaw) => terminal?.rawModes.push(isRaw),
    async *[Symbol.asyncIterator]() {
      for (const part of parts) {
        this.readCount += 1;
        yield Buffer.from(part);
      }
    },
  };
}

async function typed(...keys: string[]) {
  const rawModes: boolean[] = [];
  const prompts: string[] = [];
  const stdin = stdinOf(keys, { rawModes });
  const token = await readToken({ stdin, prompt: (text) => prompts.push(text) });
  return { token, rawModes, prompted: prompts.join('') };
}

describe('where a token comes from (SEC-2)', () => {
  it('is the first line of standard input, without what stands around it', async () => {
    for (const [parts, expected] of [
      [['wbt1_abc\n'], 'wbt1_abc'],
      [['wbt1_', 'abc', '\r\nmore'], 'wbt1_abc'],
      [['\n\n  wbt1_abc  \n'], 'wbt1_abc'],
      [['wbt1_abc'], 'wbt1_abc'],
    ] as const) {
      const prompt = () => assert.fail('nobody is asked');
      assert.equal(await readToken({ stdin: stdinOf(parts), prompt }), expected);
    }
  });

  it('is missed when the input ends before anything came, and nobody is asked', async () => {
    for (const parts of [[], ['\n'], [' ', '\r\n']]) {
      const prompt = () => assert.fail('nobody is asked');
      await assert.rejects(readToken({ stdin: stdinOf(parts), prompt }), TokenInputEnded);
    }
  });

  it('is not waited for beyond its line, nor beyond what a token may be', async () => {
    for (const part of ['wbt1_abc\n', 'x'.repeat(10_000)]) {
      const stdin = stdinOf([part, 'never read']);
      await readToken({ stdin, prompt: () => {} });
      assert.equal(stdin.readCount, 1);
    }
  });

  it('is typed on a terminal, which does not show it', async () => {
    const { token, rawModes, prompted } = await typed('w', 'bt1_', 'abX', '\u007f', 'c', '\r');
    assert.equal(token, 'wbt1_abc');
    assert.deepEqual(rawModes, [true, false]);
    assert.equal(prompted, 'Token: \n');
    assert.ok(!prompted.includes('wbt1'));
  });

  it('is not waited for when the input of the terminal has ended, which is as it was', async () => {
    for (const keys of [['\u0004'], ['\u0000'], [], ['a', '\u007f', '\u0004']]) {
      const rawModes: boolean[] = [];
      const stdin = stdinOf([...keys, ...(keys.length > 0 ? ['never read'] : [])], { rawModes });
      await assert.rejects(readToken({ stdin, prompt: () => {} }), TokenInputEnded);
      assert.deepEqual(rawModes, [true, false]);
      assert.equal(stdin.readCount, keys.length);
    }
    assert.equal((await typed('wbt1_abc', '\u0004')).token, 'wbt1_abc');
    assert.equal((await typed('\r')).token, '');
  });

  it('is given up with Ctrl-C, and the terminal is as it was', async () => {
    const rawModes: boolean[] = [];
    const stdin = stdinOf(['wbt1_', '\u0003'], { rawModes });
    await assert.rejects(readToken({ stdin, prompt: () => {} }), isAbortError);
    assert.deepEqual(rawModes, [true, false]);
  });

  it('leaves the terminal as it was before it closes it, which is then as it is', async () => {
    for (const keys of ['wbt1_abc\r', '\u0003', '\u0004']) {
      const { stdin, moments } = terminal();
      stdin.write(keys);
      await readToken({ stdin, prompt: () => {} }).catch(() => {});
      assert.deepEqual(moments, ['raw', 'as it was', 'closed'], JSON.stringify(keys));
    }
  });

  it('is given up when nobody waits for it any more, and the terminal is as it was', async () => {
    const { stdin, moments } = terminal();
    const interrupted = new AbortController();
    const { signal } = interrupted;
    const token = readToken({ stdin, prompt: () => {}, signal });
    interrupted.abort();
    await assert.rejects(token, isAbortError);
    assert.deepEqual(moments, ['raw', 'as it was', 'closed']);
    await assert.rejects(readToken({ stdin: stdinOf([]), prompt: () => {}, signal }), isAbortError);
  });
});

/** A terminal that cannot be set once it is closed, as a real one. */
function terminal() {
  const moments: string[] = [];
  const closing = new PassThrough({
    destroy: (error, closed) => {
      moments.push('closed');
      closed(error);
    },
  });
  const stdin = Object.assign(closing, {
    isTTY: true,
    setRawMode: (isRaw: boolean) => {
      if (!stdin.destroyed) moments.push(isRaw ? 'raw' : 'as it was');
    },
  });
  return { stdin, moments };
}

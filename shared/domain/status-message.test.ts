import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { statusMessageKinds, toStatusText } from './status-message.ts';

const page = new URL('../../../docs/status-messages.md', import.meta.url);

describe('Status messages', () => {
  it('stand in docs/status-messages.md as they are, and no others do', async () => {
    const text = await readFile(page, 'utf8');
    const rows = [...text.matchAll(/^\| (\d+) +\| (.+?) +\| `(.+?)` +\| (.+?) +\|$/gm)].map(
      ([, id, severity, component, sentence]) => [
        Number(id),
        { component, severity, text: sentence },
      ],
    );
    assert.deepEqual(Object.fromEntries(rows), statusMessageKinds);
    const explained = [...text.matchAll(/^- \*\*(\d+)\*\*/gm)].map(([, id]) => id);
    assert.deepEqual(explained, Object.keys(statusMessageKinds), 'each is explained, in order');
  });

  it('become sentences with their strings in place', () => {
    const insertionStrings = ['PS100001', 'DP1'];
    const message = { messageId: 2328, insertionStrings, serial: 1, timeMs: 0 } as const;
    const about = { siteCode: 'PS1', packageId: 'PS100001', sourceVersion: 1, dpId: 'DP1' };
    const text = toStatusText({ ...message, ...about });
    assert.equal(text, 'Could not distribute package PS100001 to distribution point DP1: ');
    const updated = toStatusText({ ...message, ...about, messageId: 2311 });
    assert.equal(updated, 'Package PS100001 version DP1 was created or updated at site PS1.');
  });
});

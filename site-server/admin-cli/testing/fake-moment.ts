/** When everything in the fakes happened. */
export const thenMs = Date.UTC(2026, 2, 14, 9, 26, 53);

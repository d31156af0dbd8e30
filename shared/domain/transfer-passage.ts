/** The ways by which content comes to a DP that fetches it, and leaves one that serves it. */
export const fetchingPassage = 'in';
export const servingPassage = 'out';

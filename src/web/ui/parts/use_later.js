// A value one frame later: what is typed stands in its field at once, and the rows follow.

import { useEffect, useState } from '../vendor/preact.js';

export function useLater(value) {
  const [later, setLater] = useState(value);
  useEffect(() => {
    const frame = requestAnimationFrame(() => setTimeout(() => setLater(value)));
    return () => cancelAnimationFrame(frame);
  }, [value]);
  return later;
}

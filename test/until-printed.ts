/** Null once a program has printed a text, and what follows is read for it; its whole output when it ends before. */
export async function untilPrinted(stream: ReadableStream<Uint8Array>, text: string): Promise<string | null> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let seen = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return seen;
    seen += decoder.decode(value, { stream: true });
    if (!seen.includes(text)) continue;
    // Whatever it still prints must not fill the pipe.
    void (async () => {
      while (!(await reader.read()).done);
    })();
    return null;
  }
}

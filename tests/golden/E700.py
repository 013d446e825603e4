import omega


class Broken:
    name, needs_real_time = "broken", False

    async def infer(self, request, *, sleep):
        raise ValueError("no idea")

    async def aclose(self):
        pass


with omega.Interpreter(llm=Broken()) as interpreter:
    try:
        interpreter.eval('(llm.infer "hello")')
    except omega.OmegaError as error:
        print(error)

import asyncio

import omega


async def main():
    with omega.Interpreter() as interpreter:
        try:
            interpreter.eval("(+ 1 2)")
        except omega.OmegaError as error:
            print(error)


asyncio.run(main())

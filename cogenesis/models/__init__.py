"""Language models behind one small contract: llama.cpp, OpenAI-style servers, a scripted fake."""

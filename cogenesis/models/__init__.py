"""Language models behind one small contract: llama.cpp, OpenAI-compatible servers, a scripted fake."""
